// What `postern send` will try: which host, which ports in which order, how TLS is had on each, and whom to trust. No connection is made here.

import { readFileSync } from 'node:fs';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { isImplicitTlsPort } from '#base/ports.ts';
import { PosternError, errorCode } from '#base/failure.ts';
import { isNetworkOfOnesOwn } from './load-limits.ts';
import { canonicalDomain } from '#smtp/address.ts';
import type { TlsWanted } from '#smtp/client.ts';

export type TlsOption = 'require' | 'implicit' | 'none';
export type Rung = { readonly port: number; readonly wanted: TlsWanted };
export type Target = {
  readonly host: string;
  readonly addresses: readonly string[];
  readonly rungs: readonly Rung[];
  /** A Unix socket in the place of address and port. */
  readonly socket: string | null;
  readonly protocol: 'smtp' | 'lmtp';
  /** How long the name took to resolve. */
  readonly dnsMs: number;
  /** This machine, or a private network: what may be loaded without being asked twice. */
  readonly own: boolean;
  /** Certificates of this very server, PEM. */ readonly trusted: readonly string[];
};

const LADDER = [465, 587, 2525] as const;
const IMPLICIT_PORT = 465;
const LMTP_PORT = 24;
const MAX_ADDRESSES = 4;
/** In the order of the ladder. */
const SUBMISSION = ['submissions', 'submission', 'alternate'];

type Report = { readonly listeners: readonly { readonly profile: string; readonly address: string; readonly port: number; readonly tls: string }[] };

/** Works out the target. Rejects with PosternError: exit code 2 for bad options, 3 when the host cannot be resolved. */
export async function planTarget(options: {
  readonly host: string | null;
  readonly port: number | null;
  readonly tls: TlsOption | null;
  readonly protocol: 'smtp' | 'lmtp';
  readonly socket: string | null;
  /** 4 or 6: addresses of this kind only. */
  readonly family: 4 | 6 | null;
  readonly dataDir: string;
  readonly certificates: readonly string[];
}): Promise<Target> {
  const { host, tls, dataDir, protocol, socket } = options;
  if (socket !== null) return { host: 'localhost', addresses: [socket], rungs: [{ port: 0, wanted: 'none' }], socket, protocol, dnsMs: 0, own: true, trusted: [] };
  const port = options.port ?? (protocol === 'lmtp' ? LMTP_PORT : null);
  const named = host ?? '127.0.0.1';
  if (isIP(named) === 0 && canonicalDomain(named) === null) {
    throw new PosternError(
      {
        code: 'invalid-host',
        cause: `${JSON.stringify(named)} is neither a host name nor an IP address.`,
        fix: 'Write it like smtp.example.com or 192.0.2.1; the port goes to --port.',
      },
      { exitCode: 2 },
    );
  }
  const begunMs = performance.now();
  const addresses = (await resolveHost(named)).filter((address) => options.family === null || isIP(address) === options.family).slice(0, MAX_ADDRESSES);
  const dnsMs = isIP(named) === 0 ? performance.now() - begunMs : 0;
  if (addresses.length === 0)
    throw new PosternError(
      { code: 'host-not-found', cause: `The host ${named} has no IPv${options.family} address.`, fix: `Leave out --ipv${options.family}, or name another host.` },
      { exitCode: 3 },
    );
  const trusted = addresses.every(isLocal) ? readCertificates([join(dataDir, 'tls', 'cert.pem'), ...options.certificates]) : [];
  // A port that begins with TLS waits for it: without it there is nothing to be had there.
  const ladder = (): readonly Rung[] => LADDER.filter((one) => tls !== 'none' || one !== IMPLICIT_PORT).map((one) => ({ port: one, wanted: wantedOn(one, tls) }));
  const rungs = port !== null ? [{ port, wanted: wantedOn(port, tls) }] : host === null ? (localRungs(dataDir, tls) ?? ladder()) : ladder();
  return { host: named, addresses, trusted, rungs, socket: null, protocol, dnsMs, own: addresses.every((address) => isLocal(address) || isNetworkOfOnesOwn(address)) };
}

/** TLS is required unless `none` is said: from the first byte where the port is made for it, else by STARTTLS. */
function wantedOn(port: number, tls: TlsOption | null): TlsWanted {
  if (tls === 'none') return 'none';
  return tls === 'implicit' || isImplicitTlsPort(port) ? 'implicit' : 'starttls-required';
}

async function resolveHost(host: string): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    const temporary = errorCode(error) === 'EAI_AGAIN';
    throw new PosternError(
      {
        code: 'host-not-found',
        cause: `The host ${host} cannot be resolved (${errorCode(error)}).`,
        fix: temporary ? 'Check the DNS resolver of this machine.' : 'Check the spelling of the host name.',
      },
      { exitCode: 3, cause: error },
    );
  }
}

function isLocal(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || Object.values(networkInterfaces()).some((list) => (list ?? []).some((one) => one.address === address));
}

function readCertificates(paths: readonly string[]): string[] {
  return paths.flatMap((path) => {
    try {
      return [readFileSync(path, 'utf8')];
    } catch {
      return [];
    }
  });
}

/** The ports that the server of this data directory really has; null when it does not run. */
function localRungs(dataDir: string, tls: TlsOption | null): readonly Rung[] | null {
  try {
    const { listeners } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as Report;
    const wanted = listeners.filter((listener) => tls !== 'none' || listener.tls !== 'implicit');
    const rungs = SUBMISSION.flatMap((profile) => wanted.filter((listener) => listener.profile === profile)).map((listener) => ({
      port: listener.port,
      wanted: tls === 'none' ? ('none' as const) : listener.tls === 'implicit' ? ('implicit' as const) : ('starttls-required' as const),
    }));
    return rungs.length > 0 ? rungs : null;
  } catch {
    return null;
  }
}
