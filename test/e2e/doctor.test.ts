// The doctor on a healthy server, and on the plainest faults: nothing there, silence, another protocol, no TLS.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { once } from 'node:events';
import { before, test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { openResolver } from '#dns/resolver.ts';
import { diagnose } from '#doctor/doctor.ts';
import type { Report } from '#doctor/report.ts';
import { outboundTls } from '#tls/context.ts';
import { makeAuthority } from '../support/authority.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { atEnd, freePort } from '../support/temp.ts';

const authority = makeAuthority();
let postern: Postern;

before(async () => {
  const { certFile, keyFile } = authority.issue(['127.0.0.1', 'localhost']);
  postern = await startPostern({ config: `[tls]\nmode = "files"\ncert = "${certFile}"\nkey = "${keyFile}"\n` });
});

async function examine(...args: string[]): Promise<{ code: number | null; report: Report }> {
  const done = await postern.cli('--json', 'doctor', ...args);
  return { code: done.code, report: JSON.parse(done.stdout) as Report };
}

/** A server that does this with every connection. */
async function serverThat(talks: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    talks(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as { port: number }).port;
}

for (const profile of ['submission', 'submissions', 'alternate', 'mx'] as const) {
  test(`a healthy ${profile} port: no fault, no false alarm`, async () => {
    const { code, report } = await examine(`127.0.0.1:${postern.port(profile)}`, '--ca-file', authority.caFile);
    const wrong = report.checks.filter((finding) => finding.status === 'fail' || finding.status === 'warn');
    assert.deepEqual(wrong, []);
    assert.equal(code, 0);
    for (const id of ['tcp', 'banner', 'ehlo', 'tls', 'certificate-chain', 'certificate-name', 'open-relay'])
      assert.ok(
        report.checks.some((finding) => finding.id.startsWith(`${id}@`) && finding.status === 'pass'),
        id,
      );
  });
}

test('credentials: right ones pass, wrong ones are told from other refusals', async () => {
  const app = await postern.credential('doctor');
  const target = `127.0.0.1:${postern.port('submission')}`;
  const login = async (password: string): Promise<Report['checks'][number] | undefined> => {
    const done = await postern.cliWith({ POSTERN_PASSWORD: password }, '--json', 'doctor', target, '--ca-file', authority.caFile, '--user', app.username);
    return (JSON.parse(done.stdout) as Report).checks.find((finding) => finding.id.startsWith('login@'));
  };
  assert.equal((await login(app.password))?.status, 'pass');
  const wrong = await login('wrong');
  assert.equal(wrong?.status, 'fail');
  assert.match(wrong?.title ?? '', /wrong credentials/);
  assert.match(wrong?.evidence ?? '', /^535 5\.7\.8/);
});

test('a password is not said to a server whose certificate does not verify, unless it is asked for', async () => {
  const failures = async (): Promise<number> => {
    const text = await (await fetch(`${postern.http}/metrics`)).text();
    return [...text.matchAll(/^postern_auth_failures_total\{[^}]*\} (\d+)/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
  };
  const login = async (...args: string[]): Promise<Report['checks'][number] | undefined> => {
    const done = await postern.cliWith({ POSTERN_PASSWORD: 'wrong' }, '--json', 'doctor', `127.0.0.1:${postern.port('submission')}`, '--user', 'nobody', ...args);
    return (JSON.parse(done.stdout) as Report).checks.find((finding) => finding.id.startsWith('login@'));
  };
  const before = await failures();
  const withheld = await login();
  assert.equal(withheld?.status, 'skip');
  assert.match(withheld?.evidence ?? '', /does not verify/);
  assert.equal(await failures(), before);
  assert.match((await login('--insecure'))?.title ?? '', /wrong credentials/);
});

test('nothing listens: refused, with what to do; exit 1', async () => {
  const { code, report } = await examine(`127.0.0.1:${await freePort()}`);
  assert.equal(code, 1);
  assert.equal(report.checks[0]?.status, 'fail');
  assert.match(report.checks[0]?.title ?? '', /refused/);
  assert.ok((report.checks[0]?.fix ?? '').length > 20);
});

test('a server that says nothing, in the time that was given', async () => {
  const port = await serverThat(() => {});
  const { code, report } = await examine(`127.0.0.1:${port}`, '--timeout', '1');
  assert.equal(code, 1);
  assert.equal(report.checks.find((finding) => finding.id.startsWith('banner@'))?.title, 'no greeting');
  assert.ok(report.durationMs < 5000);
});

test('another protocol', async () => {
  const port = await serverThat((socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n'));
  const { report } = await examine(`127.0.0.1:${port}`, '--timeout', '1');
  assert.match(report.checks.find((finding) => finding.id.startsWith('banner@'))?.cause ?? '', /does not speak SMTP/);
});

test('no STARTTLS and AUTH in the clear: both are named, and what would be sent is shown', async () => {
  const port = await serverThat((socket) => {
    socket.write('220 old ESMTP\r\n');
    socket.on('data', (chunk) => socket.write(/^EHLO/i.test(chunk.toString()) ? '250-old\r\n250 AUTH PLAIN LOGIN\r\n' : '250 OK\r\n'));
  });
  const { code, report } = await examine(`127.0.0.1:${port}`, '--timeout', '2');
  const titles = report.checks.filter((finding) => finding.status === 'fail' || finding.status === 'warn').map((finding) => finding.title);
  assert.equal(code, 1);
  for (const wanted of [/STARTTLS is not offered/, /AUTH is offered before TLS/, /sends its password in the clear/, /open relay/])
    assert.ok(
      titles.some((title) => wanted.test(title)),
      `${wanted} in ${titles.join('; ')}`,
    );
});

test('people get the same as text, Markdown and HTML; nothing a server says gets out of its place', async () => {
  const port = await serverThat((socket) => socket.write('220 <script>alert(1)</script> `x` \x1b[31mred\r\n'));
  const target = `127.0.0.1:${port}`;
  const text = await postern.cli('doctor', target, '--timeout', '1');
  assert.ok(!text.stdout.includes('\x1b'));
  const html = await postern.cli('doctor', target, '--timeout', '1', '--html');
  assert.ok(!html.stdout.includes('<script'));
  assert.match(html.stdout, /^<!doctype html>/);
  const markdown = await postern.cli('doctor', target, '--timeout', '1', '--markdown');
  assert.match(markdown.stdout, /^# 127/);
});

test('what is found at one port is told before another one has given up; the report keeps the order of the ports', async () => {
  const silent = await serverThat(() => {});
  const quick = postern.port('submission');
  const resolver = openResolver({ servers: ['127.0.0.1:1'], dnssec: 'off', timeoutMs: 100, clock: systemClock });
  const told: number[] = [];
  const report = await diagnose(
    '127.0.0.1',
    { kind: 'host', host: '127.0.0.1', port: null },
    {
      resolver,
      context: outboundTls({ caFile: authority.caFile }).secureContext,
      helo: 'doctor.test',
      timeoutMs: 2000,
      ports: [silent, quick],
      login: null,
      insecure: false,
      reference: null,
      selectors: [],
      sendingAddresses: [],
      blocklists: [],
      mxPort: 25,
      found: ({ port }) => told.push(port ?? 0),
    },
  ).finally(() => resolver.close());
  assert.equal(told[0], quick);
  assert.equal(told.at(-1), silent);
  assert.equal(report.checks[0]?.port, silent);
  assert.equal(told.length, report.checks.length);
});

test('what is no target is exit 2', async () => {
  const done = await postern.cli('doctor', 'not a host');
  assert.equal(done.code, 2);
  assert.match(done.stderr, /fix:/);
});
