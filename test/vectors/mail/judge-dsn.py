"""Reads a notification from standard input and says, as JSON, how Python's email package sees it."""
import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = list(message.walk())
defects = [f"{part.get_content_type()}: {type(defect).__name__}" for part in parts for defect in part.defects]
for part in parts:
    for name, value in part.items():
        # UTF-8 addresses (RFC 6531) are more than this package takes in a parsed header.
        raw = str(value).isascii()
        defects += [f"{name}: {type(defect).__name__}" for defect in getattr(value, "defects", []) if raw]
status = [part for part in parts if part.get_content_type().endswith("delivery-status")][0]
if status.get_content_type() == "message/delivery-status":
    blocks = status.get_payload()
    recipients = sum(1 for block in blocks if block["Final-Recipient"])
else:
    recipients = status.as_string().count("Final-Recipient:")
text = [part for part in parts if part.get_content_type() == "text/plain" and "Subject" in part.get_content()][0].get_content()
print(json.dumps({"defects": defects, "types": [part.get_content_type() for part in parts], "recipients": recipients, "text": text}))
