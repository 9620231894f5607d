// The PROXY protocol, versions 1 and 2, as a load balancer says it before the first byte of the client. Pure: bytes in, verdict out. Who is
// trusted to say it is the listener's to know. A header is at most 107 bytes (v1) or 16 + 2048 here (v2, with room for TLVs).

import { isIP } from 'node:net';

/** `more`: not whole yet; `malformed`: close the connection; `header`: the client behind the proxy (null: the proxy itself, as for health checks). */
export type ProxyResult =
  | { readonly is: 'more' }
  | { readonly is: 'malformed'; readonly why: string }
  | { readonly is: 'header'; readonly client: { readonly address: string; readonly port: number } | null; readonly length: number };

const V2_SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');
const V1_MAX = 107;
const V2_MAX_BODY = 2048;

/** Parses the header at the start of `bytes`. */
export function parseProxy(bytes: Buffer): ProxyResult {
  const compared = Math.min(bytes.length, V2_SIGNATURE.length);
  if (bytes.subarray(0, compared).equals(V2_SIGNATURE.subarray(0, compared))) return bytes.length < 16 ? { is: 'more' } : parseV2(bytes);
  const start = bytes.toString('latin1', 0, Math.min(bytes.length, 6));
  if (!'PROXY '.startsWith(start)) return { is: 'malformed', why: 'the connection does not begin with a PROXY header' };
  return parseV1(bytes);
}

function parseV1(bytes: Buffer): ProxyResult {
  const end = bytes.indexOf('\r\n');
  if (end === -1) return bytes.length >= V1_MAX ? { is: 'malformed', why: 'the PROXY line is too long' } : { is: 'more' };
  if (end + 2 > V1_MAX) return { is: 'malformed', why: 'the PROXY line is too long' };
  const [, family, address = '', destination = '', port = '', destinationPort = '', extra] = bytes.toString('latin1', 0, end).split(' ');
  const length = end + 2;
  if (family === 'UNKNOWN') return { is: 'header', client: null, length };
  const version = family === 'TCP4' ? 4 : family === 'TCP6' ? 6 : 0;
  const whole = version !== 0 && extra === undefined && isAddress(address, version) && isAddress(destination, version) && isPort(port) && isPort(destinationPort);
  return whole ? { is: 'header', client: { address, port: Number(port) }, length } : { is: 'malformed', why: 'the PROXY line cannot be read' };
}

function parseV2(bytes: Buffer): ProxyResult {
  const command = bytes.readUInt8(12);
  const family = bytes.readUInt8(13);
  const bodyLength = bytes.readUInt16BE(14);
  const length = 16 + bodyLength;
  if (command >> 4 !== 2 || (command & 15) > 1) return { is: 'malformed', why: 'the PROXY header has an unknown version or command' };
  if (bodyLength > V2_MAX_BODY) return { is: 'malformed', why: 'the PROXY header is too long' };
  if (bytes.length < length) return { is: 'more' };
  // LOCAL: the proxy speaks for itself.
  if ((command & 15) === 0) return { is: 'header', client: null, length };
  if (family === 0x11 && bodyLength >= 12) return { is: 'header', client: { address: [...bytes.subarray(16, 20)].join('.'), port: bytes.readUInt16BE(24) }, length };
  if (family === 0x21 && bodyLength >= 36) return { is: 'header', client: { address: ipv6(bytes.subarray(16, 32)), port: bytes.readUInt16BE(48) }, length };
  return family === 0x00 ? { is: 'header', client: null, length } : { is: 'malformed', why: 'the PROXY header names no TCP connection' };
}

/** Without a zone (`%eth0`): it means something on the proxy's machine only. */
function isAddress(text: string, version: number): boolean {
  return isIP(text) === version && !text.includes('%');
}

function isPort(text: string): boolean {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535;
}

/** Canonical text of 16 bytes (the URL parser compresses as RFC 5952 says). */
function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16)).join(':');
  return new URL(`http://[${groups}]/`).hostname.slice(1, -1);
}
