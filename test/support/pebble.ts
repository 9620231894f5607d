// A real ACME authority on loopback: Debian's pebble, whose names are resolved by the DNS of the test, and whose challenges come to its ports.
// Needs: pebble

import { request } from 'node:https';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeAuthority } from './authority.ts';
import { freePort, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Pebble = {
  readonly directory: string;
  /** Signs the certificate of the directory itself. */
  readonly caFile: string;
  /** Where challenges are looked for. */
  readonly httpPort: number;
  readonly tlsPort: number;
  readonly process: Running;
  /** Signs what pebble issues, PEM. */
  root(): Promise<string>;
};

export type PebbleOptions = {
  /** ip:port of a resolver. */
  readonly dnsServer: string;
  /** Percentage of good nonces that are refused. */
  readonly nonceReject?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly externalKeys?: Readonly<Record<string, string>>;
  readonly httpPort?: number;
  readonly tlsPort?: number;
  readonly validitySeconds?: number;
};

export async function startPebble(options: PebbleOptions): Promise<Pebble> {
  const dir = tempDir('pebble');
  const authority = makeAuthority();
  const own = authority.issue(['localhost', '127.0.0.1']);
  const [port, managementPort] = [await freePort(), await freePort()];
  const httpPort = options.httpPort ?? (await freePort());
  const tlsPort = options.tlsPort ?? (await freePort());
  writeFileSync(
    join(dir, 'pebble.json'),
    JSON.stringify({
      pebble: {
        listenAddress: `127.0.0.1:${port}`,
        managementListenAddress: `127.0.0.1:${managementPort}`,
        certificate: own.certFile,
        privateKey: own.keyFile,
        httpPort,
        tlsPort,
        ocspResponderURL: '',
        certificateValidityPeriod: options.validitySeconds ?? 90 * 86_400,
        externalAccountBindingRequired: options.externalKeys !== undefined,
        externalAccountMACKeys: options.externalKeys ?? {},
      },
    }),
  );
  const running = startProcess('/usr/bin/pebble', ['-config', join(dir, 'pebble.json'), '-dnsserver', options.dnsServer, '-strict'], {
    env: { ...process.env, PEBBLE_VA_NOSLEEP: '1', PEBBLE_AUTHZREUSE: '0', PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 5), ...options.env },
  });
  const ca = readFileSync(authority.caFile);
  const get = (path: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: managementPort, path, ca }, (answer) => {
        let text = '';
        answer
          .setEncoding('utf8')
          .on('data', (part: string) => (text += part))
          .on('end', () => resolve(text));
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  await until('pebble listens', () => get('/roots/0').catch(() => null), 15_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${running.output()}`);
  });
  return { directory: `https://127.0.0.1:${port}/dir`, caFile: authority.caFile, httpPort, tlsPort, process: running, root: () => get('/roots/0') };
}
