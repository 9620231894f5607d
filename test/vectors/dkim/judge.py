"""Verifies every DKIM signature of the messages named after the DNS server (address port FILE...), and says as JSON what came of each."""
import json
import sys

import dkim
import dns.resolver

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
resolver.port = int(sys.argv[2])


def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    try:
        answers = resolver.resolve(name, "TXT", lifetime=timeout)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return None
    return b"".join(answers[0].strings)


def judge(path):
    with open(path, "rb") as file:
        content = file.read()
    found = []
    for index in range(content.lower().split(b"\r\n\r\n")[0].count(b"dkim-signature:")):
        algorithm = "?"
        try:
            message = dkim.DKIM(content)
            good = message.verify(idx=index, dnsfunc=txt)
            algorithm = message.signature_fields[b"a"].decode()
        except dkim.DKIMException as error:
            good = f"{type(error).__name__}: {error}"
        found.append([algorithm, good])
    return found


print(json.dumps([judge(path) for path in sys.argv[3:]]))
