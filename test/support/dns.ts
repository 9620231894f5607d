// Real DNS on loopback: Knot serves the zones, Unbound resolves (and validates) for the server under test.
// Needs: knot, unbound

import { writeFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { join } from 'node:path';
import { freePort, run, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Dns = {
  /** For [dns] servers. */ readonly server: string;
  /** Knot's control socket, for knotc. */ readonly control: string;
  readonly knot: Running;
  readonly unbound: Running;
};

export type DnsOptions = {
  readonly address?: string;
  readonly port?: number;
  /** Zones that Knot signs, and that Unbound validates by their own trust anchors; the others are not signed. */
  readonly signed?: readonly string[];
};

/** Zones by name: their records, one a line, `@` for the zone itself. */
export async function startDns(zones: Readonly<Record<string, string>>, options: DnsOptions = {}): Promise<Dns> {
  const dir = tempDir('dns');
  const address = options.address ?? '127.0.0.1';
  const [knotPort, unboundPort] = [await freePort(), options.port ?? (await freePort())];
  const names = Object.keys(zones);
  const signed = options.signed ?? [];
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
      ...names.flatMap((name) => [`  - domain: ${name}.`, ...(signed.includes(name) ? ['    dnssec-signing: on', '    zonefile-load: whole'] : [])]),
      '',
    ].join('\n'),
  );
  const knot = startProcess('/usr/sbin/knotd', ['-c', join(dir, 'knot.conf')]);
  const anchors = await Promise.all(signed.map((name) => trustAnchor(join(dir, 'knot.conf'), name)));
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
      `  module-config: "${signed.length > 0 ? 'validator ' : ''}iterator"`,
      ...anchors.map((anchor) => `  trust-anchor: "${anchor}"`),
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
  const unbound = startProcess('/usr/sbin/unbound', ['-d', '-c', join(dir, 'unbound.conf')]);
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`${address}:${unboundPort}`]);
  await until('DNS answers', () => resolver.resolveSoa(names[0] ?? '').catch(() => null), 20_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\nknot: ${knot.output()}\nunbound: ${unbound.output()}`);
  });
  return { server: `${address}:${unboundPort}`, control: join(dir, 'knot.sock'), knot, unbound };
}

/** The DS record of the key that Knot has made for a zone. */
async function trustAnchor(conf: string, zone: string): Promise<string> {
  return until(`a key for ${zone}`, async () => {
    const { code, stdout } = await run('/usr/sbin/keymgr', ['-c', conf, `${zone}.`, 'ds']);
    const lines = stdout.split('\n').filter((line) => / DS \d+ \d+ 2 /.test(line));
    return code === 0 && lines.length > 0 ? lines[0] : null;
  });
}
