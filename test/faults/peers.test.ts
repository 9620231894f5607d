// Peers that stall, lie, break off or attack: as clients of the server, and as receivers that it delivers to.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { rawTo } from '../support/raw.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver, Script } from '../support/receiver.ts';
import { connectTo, message, submit } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Outcome = { class: string; verdict: string; possibleDuplicate: boolean; tls: string | null; cause: string; fix: string; code: number; enhanced: string };

const authority = makeAuthority();
let postern: Postern;
let mxPort: number;
let next = 20;
const zone: string[] = [];

/** Domains d20.example.test, d21.example.test, ... each with its own receiver at 127.0.0.N. */
before(async () => {
  mxPort = await freePort('127.0.0.20');
  for (let n = 20; n < 60; n++) zone.push(`d${n} MX 10 h${n}`, `h${n} A 127.0.0.${n}`);
  const dns = await startDns({ 'example.test': zone.join('\n') });
  postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\nconnect_timeout = "1s"\ncommand_timeout = "1s"\ndata_timeout = "2s"\n[inbound]\ndomains = [${Array.from({ length: 40 }, (_, i) => `"d${i + 20}.example.test"`).join(', ')}]\n[limits]\ncommand_timeout = "1s"\ndata_timeout = "1s"\n[queue]\nretry = { first = "300ms", factor = 1, max = "300ms", jitter = 0 }\n`,
  });
});

async function deliverTo(script: Script, options: { count?: number; body?: string } = {}): Promise<{ receiver: Receiver; id: string; address: string }> {
  const n = next++;
  const receiver = await startReceiver({ ...script, address: `127.0.0.${n}`, port: mxPort });
  const client = await connectTo(postern.port('mx'));
  const address = `a@d${n}.example.test`;
  const replies = await submit(client, { from: 'x@nowhere.invalid', to: [address], content: message(`peer ${n}`, options.body ?? 'hello\r\n') });
  await client.quit();
  return { receiver, address, id: /queued as (\w+)/.exec(replies[0]?.reply.lines.join(' ') ?? '')?.[1] ?? '' };
}

async function firstOutcome(id: string): Promise<Outcome> {
  return until('an outcome', async () => {
    const { events } = await postern.json<{ events: { outcome: Outcome | null }[] }>('message', 'show', id);
    return events.find((event) => event.outcome !== null)?.outcome ?? null;
  });
}

const once = (when: (line: string) => boolean, what: string): Script['reply'] => {
  let done = false;
  return (line) => {
    if (done || !when(line)) return undefined;
    done = true;
    return what;
  };
};

for (const [name, script, expected] of [
  ['stalls at the envelope', { reply: once((line) => line.startsWith('RCPT'), 'stall') }, 'timeout'],
  ['stalls after the content', { reply: once((line) => line === '.', 'stall') }, 'timeout'],
  ['drops in the envelope', { reply: once((line) => line.startsWith('MAIL'), 'drop') }, 'connection-lost'],
  ['drops after the content', { reply: once((line) => line === '.', 'drop') }, 'connection-lost'],
  ['answers nonsense', { reply: once((line) => line.startsWith('MAIL'), 'hello dear client') }, 'protocol-error'],
  ['answers a line without end', { reply: once((line) => line.startsWith('MAIL'), `250 ${'x'.repeat(100_000)}`) }, 'protocol-error'],
  ['answers for ever', { reply: once((line) => line.startsWith('MAIL'), Array.from({ length: 5000 }, () => '250-more').join('\r\n')) }, 'protocol-error'],
  ['answers more than it was asked', { reply: once((line) => line.startsWith('EHLO'), '250 hi\r\n250 surprise\r\n250 surprise') }, 'protocol-error'],
  ['closes with 421', { reply: once((line) => line.startsWith('MAIL'), '421 4.3.2 Going down') }, 'service-unavailable'],
  ['takes DATA with 250 instead of 354', { reply: once((line) => line === 'DATA', '250 2.0.0 Whatever') }, ''],
] as const) {
  test(`a receiver that ${name}: deferred with cause and fix, then delivered`, async () => {
    const { receiver, id, address } = await deliverTo(script as Script);
    const outcome = await firstOutcome(id);
    assert.equal(outcome.verdict, 'deferred');
    if (expected !== '') assert.equal(outcome.class, expected);
    assert.ok(outcome.cause.length > 10 && outcome.fix.length > 10);
    assert.equal(outcome.possibleDuplicate, name.includes('after the content'));
    await until('it is delivered', () => receiver.received.some((received) => received.to[0] === address));
  });
}

test('a receiver that injects behind its answer to STARTTLS gets nothing in the clear', async () => {
  const { cert, key } = authority.issue(['h']);
  const { receiver, id } = await deliverTo({ tls: { cert, key }, reply: (line) => (line === 'STARTTLS' ? '220 2.0.0 Ready\r\n250-injected\r\n250 STARTTLS' : undefined) });
  const outcome = await firstOutcome(id);
  assert.equal(outcome.verdict, 'deferred');
  assert.equal(outcome.class, 'tls-injection');
  assert.equal(receiver.received.length, 0);
  assert.ok(!receiver.lines.some((line) => line.startsWith('MAIL')));
});

test('a broken TLS handshake to an MX falls back to no TLS, and that is recorded', async () => {
  // Says it is ready for the handshake, and goes on in the clear.
  const { receiver, id, address } = await deliverTo({ offers: ['PIPELINING', 'STARTTLS'], reply: (line) => (line === 'STARTTLS' ? '220 2.0.0 Ready' : undefined), breakTls: true });
  await until('it is delivered', () => receiver.received.some((received) => received.to[0] === address));
  const outcome = await until('delivered in the history', async () => {
    const { events } = await postern.json<{ events: { type: string; outcome: Outcome | null }[] }>('message', 'show', id);
    return events.find((event) => event.type === 'delivered')?.outcome ?? null;
  });
  assert.match(outcome.tls ?? '', /^none \(STARTTLS failed/);
  await postern.logged('delivery.tls-fallback');
});

test('with TLS the best that is offered is used, and said', async () => {
  const { cert, key } = authority.issue(['h']);
  const { receiver, id } = await deliverTo({ tls: { cert, key } });
  const outcome = await firstOutcome(id);
  assert.equal(outcome.verdict, 'delivered');
  assert.match(outcome.tls ?? '', /^TLSv1\.3 \S+ unverified$/);
  assert.equal(receiver.received[0]?.tls, 'TLSv1.3');
});

test('connections that a receiver closes while they are idle cost no attempt', async () => {
  const { receiver, address } = await deliverTo({});
  await until('the first is there', () => receiver.received.length === 1);
  await receiver.close();
  const again = await startReceiver({ address: receiver.address, port: mxPort });
  const client = await connectTo(postern.port('mx'));
  await submit(client, { from: 'x@nowhere.invalid', to: [address], content: message('after idle') });
  await client.quit();
  await until('the second is there', () => again.received.length === 1, 5000);
});

test('a client that says nothing, or stops in the middle, is sent away with 421 4.4.2', async () => {
  const silent = await rawTo(postern.port('mx'));
  assert.match(await silent.reply(5000), /^421 4\.4\.2/);
  assert.equal(await silent.reply(), 'closed');
  const half = await rawTo(postern.port('mx'));
  await half.ask('EHLO client.test');
  await half.ask('MAIL FROM:<x@e.example>');
  await half.ask('RCPT TO:<a@d20.example.test>');
  await half.ask('DATA');
  half.send('Subject: half\r\n\r\nhalf a li');
  assert.match(await half.reply(5000), /^421 4\.4\.2/);
});

test('a client that never reads its replies is not waited for, and costs no memory', async () => {
  const raw = await rawTo(postern.port('mx'));
  raw.socket.pause();
  const noop = Buffer.from('NOOP\r\n'.repeat(10_000));
  let written = 0;
  while (written < 200 && !raw.closed && raw.socket.write(noop)) written++;
  await until('the server has let go', () => raw.closed || raw.socket.destroyed || raw.socket.writableLength >= 0);
  assert.match(await (await rawTo(postern.port('mx'))).ask('NOOP'), /^250/);
});

test('a thousand unknown commands: the connection ends, the server goes on', async () => {
  const raw = await rawTo(postern.port('mx'));
  raw.send('BLAH\r\n'.repeat(1000));
  const replies = await raw.rest();
  assert.ok(replies.length < 200);
  assert.match(replies.at(-2) ?? '', /^421 4\.7\.0/);
  assert.equal(replies.at(-1), 'closed');
});

test('random bytes never break the server', async () => {
  const { randomBytes } = await import('node:crypto');
  for (let i = 0; i < 50; i++) {
    const raw = await rawTo(postern.port('mx'));
    raw.send(randomBytes(1 + Math.floor(Math.random() * 5000)));
    raw.send('\r\nEHLO x\r\n');
    await raw.rest(50);
    raw.socket.destroy();
  }
  assert.match(await (await rawTo(postern.port('mx'))).ask('NOOP'), /^250/);
  assert.equal(postern.log().filter((line) => line['event'] === 'worker.died' || line['event'] === 'session.broken').length, 0);
});
