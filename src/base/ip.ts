// IP addresses as rules, limits and logs want them: one spelling each, and networks to look them up in. Pure. RFC 4291, 5952.

import { BlockList, isIP } from 'node:net';

/** A set of networks. `has` takes a canonical address; text that is none is in no network. */
export type Networks = { has(address: string): boolean };

type Network = { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' };

/**
 * The one spelling of an address: IPv4 inside IPv6 is IPv4, IPv6 stands as RFC 5952 writes it, a zone (`%eth0`, which says only how to get
 * there) is left out. Text that is no address comes back as it is.
 */
export function canonicalIp(text: string): string {
  if (!text.includes(':')) return text;
  // As the system writes an IPv4 client of a socket for both families.
  if (text.startsWith('::ffff:') && isIP(text.slice(7)) === 4) return text.slice(7);
  if (isIP(text) !== 6) return text;
  const zone = text.indexOf('%');
  // The URL parser compresses as RFC 5952 says, and writes everything in hexadecimal.
  const short = new URL(`http://[${zone === -1 ? text : text.slice(0, zone)}]/`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short);
  if (mapped === null) return short;
  const [high, low] = [Number.parseInt(mapped[1] ?? '', 16), Number.parseInt(mapped[2] ?? '', 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

/**
 * Whom a limit per address means: an IPv4 address, or the /64 an IPv6 one is in, since whoever has one of those addresses has them all
 * (RFC 6177 2). Takes a canonical address.
 */
export function limitKey(address: string): string {
  if (!address.includes(':')) return address;
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const groups = right === undefined ? head : [...head, ...new Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0'), ...tail];
  return `${groups.slice(0, 4).join(':')}::/64`;
}

/** An address or network in CIDR notation. */
export function isNetwork(text: string): boolean {
  return parseNetwork(text) !== null;
}

/** The set of these networks; throws RangeError on text that `isNetwork` refuses. */
export function openNetworks(networks: readonly string[]): Networks {
  const list = new BlockList();
  for (const text of networks) {
    const network = parseNetwork(text);
    if (network === null) throw new RangeError(`not a network: ${text}`);
    list.addSubnet(network.address, network.bits, network.family);
  }
  const check = (address: string): boolean => {
    const family = isIP(address);
    return family !== 0 && !address.includes('%') && list.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
  // The same client asks again, message after message.
  let last = { address: '', within: false };
  return {
    has(address) {
      if (address !== last.address) last = { address, within: check(address) };
      return last.within;
    },
  };
}

/** Those of the configuration as it is now: made anew when it has changed, not for each question. */
export function liveNetworks(current: () => readonly string[]): Networks {
  let built: { readonly from: readonly string[]; readonly networks: Networks } | null = null;
  return {
    has(address) {
      const from = current();
      if (built?.from !== from) built = { from, networks: openNetworks(from) };
      return built.networks.has(address);
    },
  };
}

function parseNetwork(text: string): Network | null {
  const [written = '', length, rest] = text.split('/');
  const version = isIP(written);
  const most = version === 6 ? 128 : 32;
  if (version === 0 || written.includes('%') || rest !== undefined || (length !== undefined && !/^\d{1,3}$/.test(length))) return null;
  const bits = length === undefined ? most : Number(length);
  if (bits > most) return null;
  const address = canonicalIp(written);
  if (version === 6 && isIP(address) === 4) return bits < 96 ? { address: '::', bits, family: 'ipv6' } : { address, bits: bits - 96, family: 'ipv4' };
  return { address, bits, family: version === 6 ? 'ipv6' : 'ipv4' };
}
