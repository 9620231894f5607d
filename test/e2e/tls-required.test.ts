// What a message asks of its way: REQUIRETLS from hop to hop, its bounces, and TLS-Required: No. Signed zones by Knot, validated by Unbound.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import { openPki, tlsaFor } from '../support/pki.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Received, Receiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import type { Mail } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Outcome = { verdict: string; class: string; cause: string; code: number; enhanced: string; security?: Record<string, string | null> };
type Detail = { status: string; envelope: { requireTls: boolean; tlsOptional?: boolean }; events: { type: string; outcome: Outcome | null }[] };

const issue = openPki();
const certificate = issue({ names: ['mx.test'] });
const other = issue({ names: ['mx.test'] });
const OFFERS = ['PIPELINING', '8BITMIME', 'DSN', 'ENHANCEDSTATUSCODES'];
const tls = { cert: certificate.cert, key: certificate.key };

let postern: Postern;
let next: Postern;
let nextAddress: string;
const hosts = new Map<string, Receiver>();

before(async () => {
  const net = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
  const port = await freePort(`${net}.1`);
  const scripts = {
    full: { tls, offers: [...OFFERS, 'REQUIRETLS'] },
    plain: { tls, offers: OFFERS },
    clear: { offers: [...OFFERS, 'REQUIRETLS'] },
    wrong: { tls: { cert: other.cert, key: other.key }, offers: [...OFFERS, 'REQUIRETLS'] },
    sender: { tls, offers: OFFERS },
  };
  const names = Object.keys(scripts);
  for (const [i, script] of Object.values(scripts).entries()) hosts.set(names[i] ?? '', await startReceiver({ address: `${net}.${i + 1}`, port, ...script }));
  const record = `_${port}._tcp.mx-`;
  const dns = await startDns(
    {
      'signed.test': [
        ...names.flatMap((name, i) => [`mx-${name} A ${net}.${i + 1}`, `${name} MX 10 mx-${name}`, `${record}${name} TLSA ${tlsaFor(certificate, 3, 1, 1)}`]),
        'second MX 10 mx-plain',
        'second MX 20 mx-full',
        'dead MX 10 mx-dead',
        `mx-dead A ${net}.99`,
        `${record}dead TLSA ${tlsaFor(certificate, 3, 1, 1)}`,
        `next MX 10 mx-next`,
        `mx-next A ${net}.50`,
      ].join('\n'),
      'plain.test': `@ MX 10 mx-full.signed.test.`,
    },
    { signed: ['signed.test'] },
  );
  const settings = (more: string): string =>
    `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${port}\nallow_private_addresses = true\nconnect_timeout = "2s"\n[queue]\nretry = { first = "1h", factor = 2, max = "2h", jitter = 0.1 }\n${more}`;
  nextAddress = `${net}.50`;
  // A second Postern as the next hop: it captures, and shows what it was asked.
  next = await startPostern({
    address: `${net}.50`,
    profiles: ['mx'],
    listener: '',
    config: `${settings('')}[inbound]\ndomains = ["next.signed.test"]\n[[route]]\ntype = "capture"\n`,
    env: { POSTERN_LISTENER__0__PORT: String(port) },
  });
  postern = await startPostern({ config: settings('[inbound]\ndomains = ["local.test"]\n') });
});

async function send(mail: Mail, server = postern): Promise<string> {
  const credential = await server.credential(`app${randomInt(1e9)}`, '--live');
  const client = await connectTo(server.port('submission'), { credential, ca: certificateOf(server) });
  const id = await accepted(client, { from: 'app@sender.signed.test', ...mail });
  await client.quit();
  return id;
}

/** What a sender must trust to hand over a message with REQUIRETLS. */
function certificateOf(server: Postern): string {
  return readFileSync(join(server.dataDir, 'tls/cert.pem'), 'utf8');
}

async function fate(id: string): Promise<Outcome> {
  return until(`an outcome of ${id}`, async () => (await postern.json<Detail>('message', 'show', id)).events.find((event) => event.outcome !== null)?.outcome ?? null, 30_000);
}

const required = { envelope: { requireTls: true } } as const;

/** Reports that came back about a recipient. */
function reports(about: string): Received[] {
  return hosts.get('sender')?.received.filter((one) => one.from === '' && one.content.includes(about)) ?? [];
}

test('REQUIRETLS goes with the message to a host that proves itself and offers it', async () => {
  const outcome = await fate(await send({ to: ['a@full.signed.test'], ...required }));
  assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
  assert.deepEqual([outcome.security?.['policy'], outcome.security?.['required'], outcome.security?.['certificate']], ['requiretls', 'dane', 'matched']);
  assert.match(hosts.get('full')?.received.at(-1)?.mail ?? '', / REQUIRETLS\b/);
});

test('the next host is taken where the first one does not offer it', async () => {
  const outcome = await fate(await send({ to: ['a@second.signed.test'], ...required }));
  assert.equal(outcome.verdict, 'delivered', JSON.stringify(outcome));
  assert.ok(hosts.get('full')?.received.some((one) => one.to[0] === 'a@second.signed.test'));
  assert.equal(hosts.get('plain')?.received.length, 0);
});

for (const [name, enhanced, cause] of [
  ['plain', '5.7.30', /mx-plain\.signed\.test does not offer that/],
  ['wrong', '5.7.10', /Certificate of mx-wrong\.signed\.test refused/],
  ['clear', '5.7.10', /does not offer STARTTLS/],
] as const) {
  test(`it bounces at once where no host gives it: ${name}`, async () => {
    const outcome = await fate(
      await send({ to: [`a@${name}.signed.test`], content: message(`asked of ${name}`, 'the body of it\r\n'), envelope: { requireTls: true, ret: 'full' } }),
    );
    assert.deepEqual([outcome.verdict, outcome.code, outcome.enhanced, outcome.class], ['bounced', 550, enhanced, 'requiretls-missing']);
    assert.match(outcome.cause, cause);
    assert.equal(hosts.get(name)?.received.length, 0);
    // Its report: headers only, encrypted, though the way back knows no REQUIRETLS.
    const report = await until('the report', () => reports(`a@${name}.signed.test`)[0]);
    assert.notEqual(report.tls, null);
    assert.match(report.content.toString(), new RegExp(`Subject: asked of ${name}`));
    assert.ok(!report.content.includes('the body of it'));
    assert.doesNotMatch(report.mail, /REQUIRETLS/);
  });
}

test('it bounces where nobody says that the host is a mail host of the domain', async () => {
  const outcome = await fate(await send({ to: ['a@plain.test'], ...required }));
  assert.deepEqual([outcome.verdict, outcome.enhanced], ['bounced', '5.7.10']);
  assert.match(outcome.cause, /neither DNSSEC nor MTA-STS says that mx-full\.signed\.test is a mail host of plain\.test/);
});

test('it waits where a host only does not answer', async () => {
  const outcome = await fate(await send({ to: ['a@dead.signed.test'], ...required }));
  assert.deepEqual([outcome.verdict, outcome.class], ['deferred', 'connection-refused']);
});

test('a message without it goes to the same hosts as ever', async () => {
  const outcome = await fate(await send({ to: ['a@plain.signed.test'] }));
  assert.deepEqual([outcome.verdict, outcome.security?.['policy']], ['delivered', 'dane']);
});

test('Postern as the next hop offers it after TLS, and keeps it', async () => {
  const outcome = await fate(await send({ to: ['a@next.signed.test'], ...required }));
  // Its certificate is signed by itself, and no TLSA record vouches for it.
  assert.deepEqual([outcome.verdict, outcome.enhanced], ['bounced', '5.7.10']);
  const client = await connectTo(next.port('mx'), { address: nextAddress, tls: true, ca: certificateOf(next) });
  const id = await accepted(client, { to: ['a@next.signed.test'], ...required });
  await client.quit();
  assert.equal((await next.json<Detail>('message', 'show', id)).envelope.requireTls, true);
});

test('TLS-Required: No sets aside what the receiver publishes', async () => {
  const content = `TLS-Required: No\r\n${message('not important')}`;
  for (const name of ['wrong', 'clear']) {
    const outcome = await fate(await send({ to: [`b@${name}.signed.test`], content }));
    assert.deepEqual([outcome.verdict, outcome.security?.['policy']], ['delivered', 'tls-optional'], JSON.stringify(outcome));
    assert.match(hosts.get(name)?.received.at(-1)?.content.toString() ?? '', /^TLS-Required: No\r$/m);
  }
});

test('and means nothing beside REQUIRETLS', async () => {
  const id = await send({ to: ['c@wrong.signed.test'], content: `TLS-Required: No\r\n${message('both')}`, ...required });
  assert.equal((await fate(id)).verdict, 'bounced');
  assert.equal((await postern.json<Detail>('message', 'show', id)).envelope.tlsOptional, undefined);
});

test('the report about one with TLS-Required: No says it too', async () => {
  const full = hosts.get('full') ?? assert.fail();
  full.script = { ...full.script, reply: (line) => (line.startsWith('RCPT TO:<gone@') ? '550 5.1.1 No such user' : undefined) };
  await send({ to: ['gone@full.signed.test'], content: `TLS-Required: No\r\n${message('gone')}` });
  const report = await until('the report', () => reports('gone@full.signed.test')[0]);
  assert.match(report.content.toString(), /^TLS-Required: No\r$/m);
});
