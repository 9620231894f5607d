// Real DNS on loopback: Knot serves the zones, Unbound resolves (and validates) for the server under test.
// Needs: knot, unbound

import { writeFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { join } from 'node:path';
import { freePort, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Dns = {
  /** For [dns] servers. */ readonly server: string;
  /** Knot's control socket, for knotc. */ readonly control: string;
  readonly knot: Running;
  readonly unbound: Running;
};

/** Zones by name: their records, one a line, `@` for the zone itself. */
export async function startDns(zones: Readonly<Record<string, string>>, options: { readonly address?: string; readonly port?: number } = {}): Promise<Dns> {
  const dir = tempDir('dns');
  const address = options.address ?? '127.0.0.1';
  const [knotPort, unboundPort] = [await freePort(), options.port ?? (await freePort())];
  const names = Object.keys(zones);
  for (const [name, records] of Object.entries(zones)) {
    const head = `$ORIGIN ${name}.\n$TTL 60\n@ SOA ns.${name}. hostmaster.${name}. 1 60 60 60 1\n@ NS ns.${name}.\nns A 127.0.0.1\n`;
    writeFileSync(
      join(dir, `${name}.zone`),
      `${head}${records
        .split('\n')
        .map((line) => line.trim())
        .join('\n')}\n`,
    );
  }
  writeFileSync(
    join(dir, 'knot.conf'),
    [
      'server:',
      `  rundir: "${dir}"`,
      `  listen: 127.0.0.1@${knotPort}`,
      'log:',
      '  - target: stderr',
      '    any: warning',
      'database:',
      `  storage: "${dir}"`,
      'template:',
      '  - id: default',
      `    storage: "${dir}"`,
      '    file: "%s.zone"',
      '    zonefile-sync: -1',
      '    journal-content: none',
      'zone:',
      ...names.map((name) => `  - domain: ${name}.`),
      '',
    ].join('\n'),
  );
  writeFileSync(
    join(dir, 'unbound.conf'),
    [
      'server:',
      '  username: ""',
      '  chroot: ""',
      `  directory: "${dir}"`,
      '  pidfile: ""',
      '  use-syslog: no',
      '  verbosity: 1',
      `  interface: ${address}`,
      `  port: ${unboundPort}`,
      '  do-daemonize: no',
      '  do-not-query-localhost: no',
      '  module-config: "iterator"',
      '  num-threads: 1',
      '  private-domain: "test"',
      '  local-zone: "test." nodefault',
      ...names.map((name) => `  local-zone: "${name}." transparent`),
      'remote-control:',
      '  control-enable: no',
      ...names.flatMap((name) => ['stub-zone:', `  name: "${name}."`, `  stub-addr: 127.0.0.1@${knotPort}`]),
      '',
    ].join('\n'),
  );
  const knot = startProcess('/usr/sbin/knotd', ['-c', join(dir, 'knot.conf')]);
  const unbound = startProcess('/usr/sbin/unbound', ['-d', '-c', join(dir, 'unbound.conf')]);
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`${address}:${unboundPort}`]);
  await until('DNS answers', () => resolver.resolveSoa(names[0] ?? '').catch(() => null), 20_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\nknot: ${knot.output()}\nunbound: ${unbound.output()}`);
  });
  return { server: `${address}:${unboundPort}`, control: join(dir, 'knot.sock'), knot, unbound };
}
