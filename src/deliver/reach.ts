// Which addresses mail may be sent to: not into the inner network (unless allowed), and not back to this very server. RFC 1918, 6890, 4193.

import { BlockList, isIP } from 'node:net';

const PRIVATE_IPV4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
];
const PRIVATE_IPV6 = ['::/127', 'fc00::/7', 'fe80::/10', 'fec0::/10', 'ff00::/8', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16', '2001::/32'];

/** Says of an address that it is private, loopback, link-local, multicast or a tunnel's; IPv4 inside IPv6 is looked at as IPv4. */
export function openPrivateCheck(): (address: string) => boolean {
  const list = new BlockList();
  for (const [networks, family] of [
    [PRIVATE_IPV4, 'ipv4'],
    [PRIVATE_IPV6, 'ipv6'],
  ] as const) {
    for (const network of networks) {
      const [ip = '', bits] = network.split('/');
      list.addSubnet(ip, Number(bits), family);
    }
  }
  return (address) => {
    const family = isIP(address);
    if (family === 0) return true;
    return list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
}
