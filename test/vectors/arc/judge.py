# What dkimpy says of the ARC chains of messages: SERVER PORT FILE..., a list of [result, reason] as JSON.
import json
import sys
import dns.resolver
import dkim

resolver = dns.resolver.Resolver(configure=False)
resolver.nameservers = [sys.argv[1]]
resolver.port = int(sys.argv[2])


def txt(name, timeout=5):
    answer = resolver.resolve(name.decode() if isinstance(name, bytes) else name, 'TXT', lifetime=timeout)
    return b''.join(next(iter(answer)).strings)


found = []
for path in sys.argv[3:]:
    with open(path, 'rb') as file:
        result, _, reason = dkim.arc_verify(file.read(), dnsfunc=txt)
    found.append([(result or b'none').decode(), str(reason)])
print(json.dumps(found))
