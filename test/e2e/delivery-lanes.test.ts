// Lanes: how a site that does not take mail is left alone and found open again, how many share what there is, and that a hold holds.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Options, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

type Row = { readonly id: string; readonly to: string; readonly state: string; readonly lane: string; readonly attempts: number };
type LaneView = { readonly lane: string; readonly ready: number; readonly deferred: number; readonly held: number; readonly backOffUntil: string | null; readonly onHold: boolean };

const SITES = 60;
let dns: Dns;
let mxPort: number;
let next = 1;

/** Domains s1.example.test, s2... each with a mail host at 127.0.6.N; t1... behind the same hosts. */
before(async () => {
  mxPort = await freePort('127.0.6.1');
  const zone = Array.from({ length: SITES * 3 }, (_, i) => `s${i + 1} MX 10 h${i + 1}\nt${i + 1} MX 10 h${i + 1}\nh${i + 1} A 127.0.6.${i + 1}`);
  dns = await startDns({ 'example.test': zone.join('\n') });
});

function server(delivery = '', queue = '', options: Options = {}): Promise<Postern> {
  const domains = Array.from({ length: SITES * 3 }, (_, i) => `"s${i + 1}.example.test", "t${i + 1}.example.test"`).join(', ');
  return startPostern({
    profiles: ['mx'],
    ...options,
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\n${delivery}\n[inbound]\ndomains = [${domains}]\n[queue]\n${queue}\n`,
  });
}

/** Hands in one message for each recipient, over several connections. */
async function send(postern: Postern, recipients: readonly string[], connections = 10): Promise<void> {
  const left = [...recipients];
  await Promise.all(
    Array.from({ length: Math.min(connections, left.length) }, async () => {
      const client = await connectTo(postern.port('mx'));
      for (let to = left.shift(); to !== undefined; to = left.shift()) await accepted(client, { from: 'x@nowhere.invalid', to: [to], content: message('lane') });
      await client.quit();
    }),
  );
}

const rows = (postern: Postern, ...args: string[]): Promise<Row[]> => postern.json<Row[]>('queue', 'list', '--limit', '1000', ...args);
const lanes = (postern: Postern): Promise<LaneView[]> => postern.json<LaneView[]>('queue', 'lanes');
const events = (postern: Postern, event: string): readonly Record<string, unknown>[] => postern.log().filter((line) => line['event'] === event);
const many = (count: number, domain: string): string[] => Array.from({ length: count }, (_, i) => `u${i}@${domain}`);

test('a site that defers everything is left alone for one step of the schedule, whatever was under way', async () => {
  const n = next++;
  await startReceiver({ address: `127.0.6.${n}`, port: mxPort, reply: (line) => (line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) });
  const postern = await server('', 'retry = { first = "100s", factor = 10, max = "12h", jitter = 0 }');
  await send(postern, many(300, `s${n}.example.test`), 20);
  const backedOff = await postern.logged('lane.backed-off');
  assert.equal(backedOff['times'], 1);
  const until100 = Date.parse(String(backedOff['until']));
  assert.ok(until100 <= Date.now() + 100_000);
  await until('all wait', async () => (await lanes(postern)).reduce((sum, lane) => sum + lane.ready + lane.deferred, 0) === 300);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(events(postern, 'lane.backed-off').length, 1);
  await postern.stop();
});

test('mail that waits because its site is left alone says so, though it was never tried itself', async () => {
  const n = next++;
  await startReceiver({ address: `127.0.6.${n}`, port: mxPort, greeting: '421 4.3.2 Closed for today' });
  const postern = await server('', 'retry = { first = "1h", factor = 1, max = "1h", jitter = 0 }');
  await send(postern, [`first@s${n}.example.test`]);
  await postern.logged('lane.backed-off');
  await send(postern, [`second@s${n}.example.test`]);
  const row = await until('it waits', async () =>
    (await postern.json<(Row & { backOffCause: string | null; nextAt: string })[]>('queue', 'list')).find(({ to, state }) => to.startsWith('second') && state !== 'leased'),
  );
  assert.ok(row.backOffCause !== null && row.backOffCause.length > 10, JSON.stringify(row));
  assert.ok(Date.parse(row.nextAt) > Date.now() + 3_000_000);
  assert.match((await postern.cli('queue', 'show', row.id)).stdout, /waits {2}The site is left alone until then: ./);
  assert.match((await postern.cli('queue', 'lanes')).stdout, /WHY\n.*busy/s);
  await postern.stop();
});

test('a receiver that greylists every recipient once is no site that takes nothing', async () => {
  const n = next++;
  const seen = new Set<string>();
  const receiver = await startReceiver({
    address: `127.0.6.${n}`,
    port: mxPort,
    reply(line) {
      if (!line.startsWith('RCPT') || seen.has(line)) return undefined;
      seen.add(line);
      return '450 4.2.0 <u@x>: Recipient address rejected: Greylisted, see http://postgrey.example/';
    },
  });
  const postern = await server('', 'retry = { first = "1s", factor = 10, max = "1h", jitter = 0 }');
  await send(postern, many(200, `s${n}.example.test`));
  await until('all are delivered', () => receiver.received.length === 200, 20_000);
  assert.equal(events(postern, 'lane.backed-off').length, 0);
  await postern.stop();
});

test('after a back-off one message is tried alone, and then all the others at once', async () => {
  const n = next++;
  let open = false;
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort, reply: (line) => (!open && line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) });
  const postern = await server('', 'retry = { first = "1s", factor = 1, max = "1s", jitter = 0 }');
  await send(postern, many(200, `s${n}.example.test`));
  await until('three back-offs', () => events(postern, 'lane.backed-off').length >= 3);
  const asked = receiver.lines.filter((line) => line.startsWith('RCPT')).length;
  await until('two more', () => events(postern, 'lane.backed-off').length >= 5);
  assert.ok(
    receiver.lines.filter((line) => line.startsWith('RCPT')).length - asked <= 4,
    `${receiver.lines.filter((line) => line.startsWith('RCPT')).length - asked} asked: ${JSON.stringify(events(postern, 'lane.backed-off').map((l) => [l['time'], l['until'], l['times']]))} ${JSON.stringify(
      events(postern, 'delivery.deferred')
        .slice(-20)
        .map((l) => [l['time'], l['to'], l['attempts'], l['durationMs']]),
    )}`,
  );
  open = true;
  await until('all are delivered', () => receiver.received.length === 200, 10_000);
  await postern.stop();
});

test('a held lane holds what comes later too, of every domain behind its hosts, and lets it go', async () => {
  const n = next++;
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort });
  const postern = await server();
  const lane = `mx:h${n}.example.test`;
  await postern.json('queue', 'hold', '--lane', lane);
  await send(postern, [`a@s${n}.example.test`, `b@t${n}.example.test`]);
  await until('both are held', async () => (await rows(postern)).filter((row) => row.state === 'held' && row.lane === lane).length === 2);
  await send(postern, [`c@s${n}.example.test`]);
  await until('the third too', async () => (await rows(postern)).filter((row) => row.state === 'held').length === 3);
  assert.equal((await lanes(postern)).find((one) => one.lane === lane)?.onHold, true);
  assert.equal(receiver.received.length, 0);
  await postern.json('queue', 'release', '--lane', lane);
  await until('all three arrive', () => receiver.received.length === 3);
  await send(postern, [`d@s${n}.example.test`]);
  await until('and the next one', () => receiver.received.length === 4);
  await postern.stop();
});

test('a hold keeps what waits for its turn in a worker already', async () => {
  const n = next++;
  let gate = (): void => {};
  const closed = new Promise<void>((resolve) => (gate = resolve));
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort, before: (line) => (line.startsWith('MAIL') ? closed : undefined) });
  const postern = await server('connections_per_lane = 1');
  await send(postern, many(30, `s${n}.example.test`));
  await until('one is under way', () => receiver.lines.some((line) => line.startsWith('MAIL')));
  await postern.json('queue', 'hold', '--domain', `s${n}.example.test`);
  await until('the others are held', async () => (await rows(postern)).filter((row) => row.state === 'held').length >= 29);
  gate();
  await until('the one that was under way is delivered', () => receiver.received.length === 1);
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(receiver.received.length, 1);
  await postern.json('queue', 'release', '--domain', `s${n}.example.test`);
  await until('all are delivered', () => receiver.received.length === 30);
  await postern.stop();
});

test('a cancel reaches what waits in a worker already; what is being sent may still be delivered', async () => {
  const n = next++;
  const gate = Promise.withResolvers<void>();
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort, before: (line) => (line === '.' ? gate.promise : undefined) });
  const postern = await server('connections_per_lane = 1');
  await send(postern, many(30, `s${n}.example.test`));
  await until('one is being sent', () => receiver.lines.includes('DATA'));
  const { recipients, underWay } = await postern.json<{ recipients: number; underWay: number }>('queue', 'cancel', '--all', '--yes');
  assert.equal(recipients + underWay, 30);
  await until('the others are gone', async () => (await rows(postern)).length === 1);
  gate.resolve();
  await until('the queue is empty', async () => (await rows(postern)).length === 0);
  assert.equal(receiver.received.length, 1);
  assert.equal((await postern.json<unknown[]>('message', 'list', '--status', 'cancelled', '--limit', '100')).length, 29);
  assert.equal((await postern.json<unknown[]>('message', 'list', '--status', 'delivered')).length, 1);
  await postern.stop();
});

test('a cancel breaks off what has not come to its content, and nothing of it arrives', async () => {
  const n = next++;
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort, reply: (line) => (line.startsWith('RCPT TO:<u0@') ? 'stall' : undefined) });
  const postern = await server();
  await send(postern, [`u0@s${n}.example.test`]);
  await until('it hangs', () => receiver.lines.some((line) => line.startsWith('RCPT')));
  const [row] = await rows(postern);
  assert.equal(row?.state, 'leased');
  const done = await postern.cli('queue', 'cancel', row.id);
  assert.match(done.stdout, /^0 recipients cancelled\. 1 more on the way: cancelled too, unless delivered or bounced first\.$/m);
  await until('the queue is empty', async () => (await rows(postern)).length === 0);
  await send(postern, [`u1@s${n}.example.test`]);
  await until('the next one arrives', () => receiver.received.length === 1);
  assert.deepEqual(receiver.received[0]?.to, [`u1@s${n}.example.test`]);
  await postern.stop();
});

test('a hold of one message that is being sent keeps it from being tried again', async () => {
  const n = next++;
  const gate = Promise.withResolvers<void>();
  let answer: string | undefined = '451 4.3.0 Not now';
  const receiver = await startReceiver({
    address: `127.0.6.${n}`,
    port: mxPort,
    before: (line) => (line === '.' ? gate.promise : undefined),
    reply: (line) => (line === '.' ? answer : undefined),
  });
  const postern = await server('', 'retry = { first = "1s", factor = 1, max = "1s", jitter = 0 }');
  await send(postern, [`a@s${n}.example.test`]);
  await until('it is being sent', () => receiver.lines.includes('DATA'));
  const [row] = await rows(postern);
  assert.deepEqual(await postern.json('queue', 'hold', row?.id ?? ''), { verb: 'hold', selection: { by: 'message', id: row?.id }, recipients: 0, underWay: 1 });
  gate.resolve();
  await until('it is held', async () => (await rows(postern))[0]?.state === 'held');
  answer = undefined;
  await postern.json('queue', 'release', row?.id ?? '');
  await until('it is delivered', () => receiver.received.length === 1);
  await postern.stop();
});

test('a retry of one message wakes its own site only', async () => {
  const [one, two] = [next++, next++];
  for (const n of [one, two]) await startReceiver({ address: `127.0.6.${n}`, port: mxPort, greeting: '421 4.3.2 Closed' });
  const postern = await server('', 'retry = { first = "1h", factor = 1, max = "1h", jitter = 0 }');
  await send(postern, [`a@s${one}.example.test`, `a@s${two}.example.test`]);
  const waiting = await until('both are put aside', async () => {
    const found = await rows(postern, '--state', 'deferred');
    return found.length === 2 ? found : null;
  });
  const id = waiting.find((row) => row.to === `a@s${one}.example.test`)?.id ?? '';
  await postern.json('queue', 'retry', id);
  await until('it was tried again', async () => (await rows(postern)).find((row) => row.id === id)?.attempts === 2);
  const other = (await lanes(postern)).find((lane) => lane.lane === `mx:h${two}.example.test`);
  assert.ok(Date.parse(other?.backOffUntil ?? '') > Date.now() + 3_000_000, JSON.stringify(other));
  await postern.stop();
});

test('a receiver that bears three connections gets three, and its mail is not put aside', async () => {
  const n = next++;
  let open = 0;
  let most = 0;
  const receiver = await startReceiver({
    address: `127.0.6.${n}`,
    port: mxPort,
    admit: () => (open < 3 ? undefined : '421 4.7.0 Too many connections from your address'),
    opened: () => (most = Math.max(most, ++open)),
    closed: () => open--,
  });
  const postern = await server('', 'retry = { first = "1h", factor = 1, max = "1h", jitter = 0 }');
  await send(postern, many(300, `s${n}.example.test`), 20);
  await until('all are delivered', () => receiver.received.length === 300);
  assert.equal(most, 3);
  assert.equal(events(postern, 'delivery.deferred').length, 0);
  await postern.stop();
});

test('hosts that never answer do not keep the others waiting, however many they are', async () => {
  const silent = Array.from({ length: 30 }, () => next++);
  for (const n of silent) await startReceiver({ address: `127.0.6.${n}`, port: mxPort, greeting: 'stall' });
  const n = next++;
  const receiver = await startReceiver({ address: `127.0.6.${n}`, port: mxPort });
  const postern = await server('connections = 40\ncommand_timeout = "10m"');
  await send(
    postern,
    silent.flatMap((one) => many(20, `s${one}.example.test`)),
  );
  await send(postern, many(50, `s${n}.example.test`));
  await until('the good one has all of its mail', () => receiver.received.length === 50, 40_000);
  await postern.kill();
});

test('connections that only wait for more give way to sites that have mail', async () => {
  const sites = Array.from({ length: 40 }, () => next++);
  const receivers = await Promise.all(sites.map((n) => startReceiver({ address: `127.0.6.${n}`, port: mxPort })));
  const postern = await server('connections = 5\nidle_timeout = "5m"');
  await send(
    postern,
    sites.map((n) => `a@s${n}.example.test`),
  );
  await until('every site has its mail', () => receivers.every((receiver) => receiver.received.length === 1), 15_000);
  await postern.stop();
});
