// The PROXY header that `postern send` says for a client that is somebody else, as a balancer would (PROXY protocol, version 1).

import { isIP } from 'node:net';
import { usage } from '#cli/values.ts';

const ANY_PORT = 40_000;

/** `source` is `192.0.2.1`, `192.0.2.1:1234` or `[2001:db8::1]:1234`; `to` null: a Unix socket. */
export function proxyHeader(source: string, to: { readonly address: string; readonly port: number } | null): string {
  const [, bracketed, plain, port = String(ANY_PORT)] = /^(?:\[([^\]]+)\]|([^[\]]+?))(?::(\d{1,5}))?$/.exec(isIP(source) === 6 ? `[${source}]` : source) ?? [];
  const address = bracketed ?? plain ?? '';
  const family = isIP(address);
  if (family === 0 || Number(port) > 65_535)
    throw usage(`--proxy-source ${JSON.stringify(source)} is no address of a client.`, 'Write it like 192.0.2.1, 192.0.2.1:1234 or [2001:db8::1]:1234.');
  // Both ends are of one kind; where they are not, the other one is only a stand-in.
  const destination = to !== null && isIP(to.address) === family ? to.address : family === 4 ? '127.0.0.1' : '::1';
  return `PROXY TCP${family} ${address} ${destination} ${port} ${to?.port ?? 25}\r\n`;
}
