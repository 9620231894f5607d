// Real DNS on loopback: Knot serves the zones, Unbound resolves (and validates) for the server under test.
// Needs: knot, unbound

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Resolver } from 'node:dns/promises';
import { join } from 'node:path';
import { atEnd, freePort, run, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

export type Dns = {
  /** For [dns] servers. */ readonly server: string;
  /** Knot's control socket, for knotc. */ readonly control: string;
  readonly knot: Running;
  readonly unbound: Running;
  /** Other records for a zone, from now on. */
  setZone(name: string, records: string): Promise<void>;
};

export type DnsOptions = {
  readonly address?: string;
  readonly port?: number;
  /** Where Knot listens, at port 53, so that whoever asks the responsible servers reaches it; default: a free port, which only Unbound knows. */
  readonly authority?: string;
  /** Zones that Knot signs, and that Unbound validates by their own trust anchors; the others are not signed. */
  readonly signed?: readonly string[];
  /** Zones whose servers never answer. */
  readonly mute?: readonly string[];
  /** Zones that are not signed, though Unbound has an anchor for them: nothing in them validates. */
  readonly bogus?: readonly string[];
};

/** Zones by name: their records, one a line, `@` for the zone itself. */
export async function startDns(zones: Readonly<Record<string, string>>, options: DnsOptions = {}): Promise<Dns> {
  const dir = tempDir('dns');
  const address = options.address ?? '127.0.0.1';
  const knotAddress = options.authority ?? '127.0.0.1';
  const [knotPort, unboundPort] = [options.authority === undefined ? await freePort() : 53, options.port ?? (await freePort())];
  const names = Object.keys(zones);
  const signed = options.signed ?? [];
  const mute = options.mute ?? [];
  const mutePort = mute.length > 0 ? await startMute() : 0;
  let serial = 0;
  const writeZone = (name: string, records: string): void => {
    const head = `$ORIGIN ${name}.\n$TTL 60\n@ SOA ns.${name}. hostmaster.${name}. ${++serial} 60 60 60 1\n@ NS ns.${name}.\nns A ${knotAddress}\n`;
    writeFileSync(
      join(dir, `${name}.zone`),
      `${head}${records
        .split('\n')
        .map((line) => line.trim())
        .join('\n')}\n`,
    );
  };
  for (const [name, records] of Object.entries(zones)) writeZone(name, records);
  writeFileSync(
    join(dir, 'knot.conf'),
    [
      'server:',
      `  rundir: "${dir}"`,
      `  listen: ${knotAddress}@${knotPort}`,
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
  const bogus = (options.bogus ?? []).map((name) => `${name}. DS 12345 13 2 ${'ab'.repeat(32)}`);
  const anchors = [...(await Promise.all(signed.map((name) => trustAnchor(join(dir, 'knot.conf'), name)))), ...bogus];
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
      `  module-config: "${anchors.length > 0 ? 'validator ' : ''}iterator"`,
      ...anchors.map((anchor) => `  trust-anchor: "${anchor}"`),
      '  num-threads: 1',
      '  private-domain: "test"',
      // What is not ours does not exist, and that is said at once: nobody is asked outside.
      '  local-zone: "." static',
      ...[...names, ...mute].map((name) => `  local-zone: "${name}." transparent`),
      'remote-control:',
      '  control-enable: no',
      ...names.flatMap((name) => ['stub-zone:', `  name: "${name}."`, `  stub-addr: ${knotAddress}@${knotPort}`]),
      ...mute.flatMap((name) => ['stub-zone:', `  name: "${name}."`, `  stub-addr: 127.0.0.1@${mutePort}`]),
      '',
    ].join('\n'),
  );
  const unbound = startProcess('/usr/sbin/unbound', ['-d', '-c', join(dir, 'unbound.conf')]);
  const resolver = new Resolver({ timeout: 500, tries: 1 });
  resolver.setServers([`${address}:${unboundPort}`]);
  await until('DNS answers', () => resolver.resolveSoa(names[0] ?? '').catch(() => null), 20_000).catch((error: unknown) => {
    throw new Error(`${String(error)}\nknot: ${knot.output()}\nunbound: ${unbound.output()}`);
  });
  const control = join(dir, 'knot.sock');
  return {
    server: `${address}:${unboundPort}`,
    control,
    knot,
    unbound,
    async setZone(name, records) {
      writeZone(name, records);
      const done = await run('/usr/sbin/knotc', ['-s', control, '-b', 'zone-reload', `${name}.`]);
      if (done.code !== 0) throw new Error(`knotc: ${done.stdout}${done.stderr}`);
    },
  };
}

/** The port of a server that takes questions and says nothing. */
async function startMute(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  socket.unref();
  atEnd(() => socket.close());
  return socket.address().port;
}

/** The DS record of the key that Knot has made for a zone. */
async function trustAnchor(conf: string, zone: string): Promise<string> {
  return until(`a key for ${zone}`, async () => {
    const { code, stdout } = await run('/usr/sbin/keymgr', ['-c', conf, `${zone}.`, 'ds']);
    const lines = stdout.split('\n').filter((line) => / DS \d+ \d+ 2 /.test(line));
    return code === 0 && lines.length > 0 ? lines[0] : null;
  });
}
