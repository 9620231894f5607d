// What every engine of the queue must do (src/queue/queue.ts): an engine is opened by its own test file, which hands it over here. Time is played
// by the times that are written (due, expired, not yet), never by waiting.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NewMessage, Queue, QueueAdmin, Selection } from '#queue/queue.ts';
import type { NewSuppression, Suppressions } from '#queue/suppression.ts';
import type { Envelope, Lease, LeasedRecipient, Outcome, QueueEvent, Settlement } from '#queue/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';

/** One open engine. */
export type Engine = {
  /** The queue as worker number `worker` has it. */
  worker(worker: number): Queue;
  readonly admin: QueueAdmin;
  readonly suppressions: Suppressions;
  /** Everything that happened to a message, as the outbox told it. */
  events(id: string): Promise<readonly { readonly type: QueueEvent['type']; readonly n: number | null; readonly seq: number }[]>;
  /** A worker died: what it held goes back. */
  workerGone(worker: number): Promise<number>;
  /** Ends without a goodbye and opens the same data again. */
  restart(): Promise<Engine>;
  close(): Promise<void>;
};

export type Opening = {
  open(): Promise<Engine>;
  /** An engine with little space, and the means to fill it; null where that cannot be had here. */
  openSmall(): Promise<{ readonly engine: Engine; fill(): void; free(): void } | { readonly skip: string }>;
};

const HOUR_MS = 3_600_000;
const NEXT_TURN_MS = 60;

let made = 0;

type Draft = {
  readonly id?: string;
  readonly to?: readonly (string | { readonly to: string; readonly lane: string })[];
  readonly credential?: string | null;
  readonly body?: string;
  readonly written?: number;
  readonly envelope?: Partial<Envelope>;
};

export function mailbox(text: string): Address {
  const parsed = parseMailbox(text);
  assert.ok(parsed !== null, text);
  return parsed;
}

/** A message; each recipient's lane is named by its domain unless said. */
function draft(options: Draft = {}): NewMessage {
  const nowMs = Date.now();
  const id = options.id ?? `test${String(++made).padStart(12, '0')}`;
  const body = options.body ?? `Subject: ${id}\r\n\r\nbody\r\n`;
  return {
    envelope: {
      id,
      from: mailbox('sender@example.com'),
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + 96 * HOUR_MS,
      warnAtMs: nowMs + 4 * HOUR_MS,
      sizeBytes: body.length,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      ret: null,
      envid: null,
      kind: 'mail',
      mode: 'live',
      origin: { profile: 'submission', clientAddress: '192.0.2.1', helo: 'client.test', tls: null, credential: options.credential ?? null },
      subject: id,
      messageIdHeader: `<${id}@example.com>`,
      ...options.envelope,
    },
    recipients: (options.to ?? ['a@one.example']).map((to, n) => {
      const { to: text, lane } = typeof to === 'string' ? { to, lane: `mx:${to.slice(to.indexOf('@') + 1)}` } : to;
      return { n, address: mailbox(text), notify: null, orcpt: null, lane };
    }),
    tail: [Buffer.from(body)],
    written: options.written ?? 0,
  };
}

function outcome(verdict: Outcome['verdict'], overrides: Partial<Outcome> = {}): Outcome {
  return {
    verdict,
    scope: 'recipient',
    code: verdict === 'delivered' ? 250 : 451,
    enhanced: '2.0.0',
    text: verdict,
    class: verdict,
    cause: 'The test says so.',
    fix: 'Nothing.',
    route: 'mx',
    remoteHost: null,
    remoteAddress: null,
    remotePort: null,
    tls: null,
    possibleDuplicate: false,
    startedAtMs: 1,
    durationMs: 1,
    ...overrides,
  };
}

function settled(n: number, verdict: 'delivered' | 'bounced' | 'expired' | 'captured'): Settlement {
  return { n, state: verdict, outcome: outcome(verdict) };
}

function deferred(n: number, nextAtMs: number, options: { lane?: string; warned?: boolean } = {}): Settlement {
  return { n, state: 'deferred', nextAtMs, lane: options.lane ?? 'mx:one.example', warned: options.warned ?? false, outcome: outcome('deferred') };
}

async function settle(queue: Queue, lease: Lease, verdict: 'delivered' | 'bounced' | 'expired' | 'captured' = 'delivered'): Promise<void> {
  await queue.settle({ lease, settlements: lease.recipients.map(({ n }) => settled(n, verdict)), offspring: [] });
}

async function accept(queue: Queue, options: Draft = {}): Promise<string> {
  const message = draft(options);
  assert.deepEqual(await queue.accept(message, { lease: false }), []);
  return message.envelope.id;
}

async function lease(queue: Queue, options: Partial<Parameters<Queue['lease']>[0]> = {}): Promise<readonly Lease[]> {
  return queue.lease({ limit: 100, perLane: 100, skip: [], ...options });
}

async function one(queue: Queue, options: Partial<Parameters<Queue['lease']>[0]> = {}): Promise<Lease> {
  const leases = await lease(queue, options);
  assert.equal(leases.length, 1, `expected one lease, got ${JSON.stringify(leases.map(described))}`);
  return leases[0] as Lease;
}

/** Chance that is the same each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function described(held: Lease): string {
  return `${held.envelope.id} ${held.lane} ${held.recipients.map(({ n }) => n).join(',')}`;
}

async function content(queue: Queue, held: Lease): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of queue.body(held)) chunks.push(chunk);
  return Buffer.concat(chunks).toString('latin1');
}

function lost(error: unknown): boolean {
  assert.equal((error as { code?: unknown }).code, 'lease-lost', String(error));
  return true;
}

function full(error: unknown): boolean {
  assert.equal((error as { code?: unknown }).code, 'store-full', String(error));
  return true;
}

function types(events: readonly { type: string; n: number | null }[]): string[] {
  return events.map(({ type, n }) => (n === null ? type : `${type} ${n}`));
}

/** The suite. */
export function queueConformance(name: string, { open, openSmall }: Opening): void {
  const test = (title: string, run: (engine: Engine, queue: Queue) => Promise<void>): void => {
    it(title, async () => {
      const engine = await open();
      try {
        await run(engine, engine.worker(1));
      } finally {
        await engine.close();
      }
    });
  };
  const restarting = (title: string, run: (start: Engine, restart: (engine: Engine) => Promise<Engine>) => Promise<void>): void => {
    it(title, async () => {
      let current = await open();
      try {
        await run(current, async (engine) => (current = await engine.restart()));
      } finally {
        await current.close();
      }
    });
  };

  describe(`${name}: suppressions`, () => {
    const entry = (address: string, senderDomain = '*'): NewSuppression => ({
      address,
      recipientDomain: address.split('@')[1] ?? '',
      senderDomain,
      reason: 'bounced',
      enhanced: '5.1.1',
      text: 'no',
      remoteHost: null,
      messageId: null,
      createdAtMs: 1,
    });
    const all = { senderDomains: null, limit: 10 };

    restarting('an entry is written with the outcome that brings it forth, and with no other', async (start, restart) => {
      const queue = start.worker(1);
      await accept(queue);
      const held = await one(queue);
      const suppression = entry('a@one.example', 'example.com');
      const [settlement] = held.recipients.map(({ n }) => ({ n, state: 'bounced' as const, outcome: outcome('bounced'), suppression }));
      assert.ok(settlement !== undefined);
      await assert.rejects(queue.settle({ lease: { ...held, token: held.token + 1 }, settlements: [settlement], offspring: [] }), lost);
      assert.deepEqual(await start.suppressions.list(all), []);
      await queue.settle({ lease: held, settlements: [settlement], offspring: [] });
      const engine = await restart(start);
      assert.deepEqual(await engine.suppressions.list(all), [{ ...suppression, seq: 1 }]);
    });

    test('added, told new from known, listed newest first by what is asked for, removed', async ({ suppressions }) => {
      assert.deepEqual(await suppressions.add([entry('a@one.example'), entry('a@one.example', 'x.example'), entry('b@two.example')]), { added: 3 });
      assert.deepEqual(await suppressions.add([{ ...entry('a@one.example'), reason: 'manual' }]), { added: 0 });
      const seqs = async (filter: object): Promise<number[]> => (await suppressions.list({ ...all, ...filter })).map(({ seq }) => seq);
      assert.deepEqual(await seqs({}), [3, 2, 1]);
      assert.deepEqual(await seqs({ before: 3, limit: 1 }), [2]);
      assert.deepEqual(await seqs({ recipientDomain: 'one.example' }), [2, 1]);
      assert.deepEqual(await seqs({ address: 'a@one.example', senderDomains: ['x.example'] }), [2]);
      assert.deepEqual(await seqs({ reason: 'manual' }), [1]);
      assert.deepEqual(await suppressions.remove('a@one.example', ['y.example']), { removed: 0 });
      assert.deepEqual(await suppressions.remove('a@one.example', ['x.example']), { removed: 1 });
      assert.deepEqual(await suppressions.remove('a@one.example', null), { removed: 1 });
      assert.deepEqual(await seqs({}), [3]);
    });
  });

  describe(`${name}: accept and lease`, () => {
    test('what was accepted is leased with envelope, recipients and body, once', async (_engine, queue) => {
      const message = draft({ to: ['a@one.example', 'b@one.example'] });
      await queue.accept(message, { lease: false });
      const held = await one(queue);
      assert.deepEqual(held.envelope, message.envelope);
      assert.equal(held.lane, 'mx:one.example');
      assert.deepEqual(
        held.recipients,
        message.recipients.map(({ n, address, notify, orcpt }): LeasedRecipient => ({ n, address, notify, orcpt, attempts: 0, warned: false, lastOutcome: null })),
      );
      assert.equal(await content(queue, held), String(message.tail[0]));
      assert.deepEqual(await lease(queue), []);
    });

    test('a message for later is not leased before, and is not what has waited longest; retried, it goes at once', async (engine, queue) => {
      const message = { ...draft(), notBeforeMs: Date.now() + HOUR_MS };
      assert.deepEqual(await queue.accept(message, { lease: true }), []);
      assert.deepEqual(await lease(queue), []);
      assert.equal((await engine.admin.counts()).oldestAtMs, null);
      const later = await accept(queue);
      assert.equal((await one(queue)).envelope.id, later);
      assert.notEqual((await engine.admin.counts()).oldestAtMs, null);
      await engine.admin.retry({ by: 'message', id: message.envelope.id });
      assert.equal((await one(queue)).envelope.id, message.envelope.id);
    });

    test('a key makes one message; another one under it is told which, and leaves nothing', async (engine, queue) => {
      const [first, second] = [draft(), draft()];
      const once = { key: 'token 1', hash: 'h' };
      await queue.accept({ ...first, once }, { lease: false });
      await assert.rejects(queue.accept({ ...second, once: { ...once, hash: 'other' } }, { lease: false }), (error: { code?: string; used?: object }) => {
        assert.deepEqual([error.code, error.used], ['once-used', { hash: 'h', id: first.envelope.id }]);
        return true;
      });
      const both = await Promise.allSettled([draft(), draft()].map((message) => queue.accept({ ...message, once: { key: 'token 2', hash: 'h' } }, { lease: false })));
      assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
      assert.equal((await engine.admin.counts()).messages, 2);
    });

    test('with lease: one lease a lane, the body in memory, and nobody else gets them', async (engine, queue) => {
      const message = draft({ to: ['a@one.example', 'b@two.example', 'c@one.example'] });
      const leases = await queue.accept(message, { lease: true });
      assert.deepEqual(leases.map(described).toSorted(), [`${message.envelope.id} mx:one.example 0,2`, `${message.envelope.id} mx:two.example 1`]);
      for (const held of leases) {
        assert.deepEqual(held.envelope, message.envelope);
        assert.equal(Buffer.concat(held.body ?? []).toString(), String(message.tail[0]));
        assert.equal(await content(queue, held), String(message.tail[0]));
      }
      assert.deepEqual(await lease(engine.worker(2)), []);
      for (const held of leases) await settle(queue, held);
      assert.equal((await engine.admin.counts()).messages, 0);
    });

    test('NOTIFY, ORCPT and every field of the envelope come back as they were', async (_engine, queue) => {
      const message = draft({ envelope: { from: null, eightBit: true, smtpUtf8: true, requireTls: true, ret: 'hdrs', envid: 'x y', kind: 'dsn', warnAtMs: null } });
      const { n, notify, orcpt, address } = {
        n: 0,
        address: mailbox('"a b"@one.example'),
        notify: { success: true, failure: false, delay: true },
        orcpt: { type: 'utf-8', value: 'é@x' },
      };
      await queue.accept({ ...message, recipients: [{ n, address, notify, orcpt, lane: 'mx:one.example' }] }, { lease: false });
      const held = await one(queue);
      assert.deepEqual(held.envelope, message.envelope);
      assert.deepEqual(held.recipients, [{ n, address, notify, orcpt, attempts: 0, warned: true, lastOutcome: null }]);
    });

    test('hundreds at once: each is there, each is leased once', async (engine, queue) => {
      const other = engine.worker(2);
      const ids = await Promise.all(Array.from({ length: 300 }, (_, i) => accept(i % 2 === 0 ? queue : other, { to: [`a@d${i % 7}.example`] })));
      const taken: string[] = [];
      for (;;) {
        const [mine, theirs] = await Promise.all([lease(queue, { limit: 17 }), lease(other, { limit: 13 })]);
        if (mine.length + theirs.length === 0) break;
        taken.push(...[...mine, ...theirs].map((held) => held.envelope.id));
      }
      assert.deepEqual(taken.toSorted(), ids.toSorted());
    });

    test('an id that exists already is refused, and takes nothing else down with it', async (_engine, queue) => {
      const id = await accept(queue);
      const results = await Promise.allSettled([accept(queue), accept(queue, { id }), accept(queue)]);
      assert.deepEqual(
        results.map((result) => result.status),
        ['fulfilled', 'rejected', 'fulfilled'],
      );
      assert.equal((await lease(queue)).length, 3);
    });
  });

  describe(`${name}: bodies`, () => {
    test('chunks and tail come back in order, byte for byte', async (engine, queue) => {
      const chunks = [Buffer.from('head'), Buffer.alloc(300_000, 1), Buffer.alloc(256 * 1024, 2), Buffer.from([0, 255, 13, 10])];
      const message = draft({ written: chunks.length, body: 'the tail' });
      // The header is known last: chunk 0 may be written after the others.
      for (const [n, chunk] of [...chunks.entries()].toReversed()) await queue.write(message.envelope.id, n, Buffer.from(chunk));
      await queue.accept(message, { lease: false });
      const whole = Buffer.concat([...chunks, Buffer.from('the tail')]).toString('latin1');
      assert.equal(await content(queue, await one(queue)), whole);
      const stored: Buffer[] = [];
      for await (const chunk of (await engine.admin.read(message.envelope.id)) ?? assert.fail('it is there')) stored.push(chunk);
      assert.equal(Buffer.concat(stored).toString('latin1'), whole);
    });

    test('a message of no octets, and one whose tail is empty', async (_engine, queue) => {
      await accept(queue, { body: '' });
      const empty = await one(queue);
      assert.equal(await content(queue, empty), '');
      const message = draft({ written: 1, body: '' });
      await queue.write(message.envelope.id, 0, Buffer.from('all of it'));
      await queue.accept(message, { lease: false });
      assert.equal(await content(queue, await one(queue)), 'all of it');
    });

    test('chunks of two messages at once do not mix', async (engine, queue) => {
      const other = engine.worker(2);
      const [first, second] = [draft({ written: 3, body: '' }), draft({ written: 3, body: '' })];
      await Promise.all([0, 1, 2].flatMap((n) => [queue.write(first.envelope.id, n, Buffer.from(`a${n}`)), other.write(second.envelope.id, n, Buffer.from(`b${n}`))]));
      await Promise.all([queue.accept(first, { lease: false }), other.accept(second, { lease: false })]);
      const bodies = await Promise.all((await lease(queue)).map((held) => content(queue, held)));
      assert.deepEqual(bodies.toSorted(), ['a0a1a2', 'b0b1b2']);
    });

    test('bodies of all sizes, batch upon batch from two workers at once, come back as they were', async (engine, queue) => {
      const random = seeded(7);
      const expected = new Map<string, string>();
      const writers = [queue, engine.worker(2)];
      const accepted: Promise<unknown>[] = [];
      for (let turn = 0; turn < 40; turn++) {
        for (let i = 0; i < 6; i++) {
          // Some turns come to more than what is handed over at once.
          const body = String.fromCharCode(97 + Math.floor(random() * 26)).repeat(Math.floor(random() ** 4 * 150_000));
          const message = draft({ body });
          expected.set(message.envelope.id, body);
          accepted.push((writers[i % 2] as Queue).accept(message, { lease: false }));
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(accepted);
      const leases = await lease(queue, { limit: 1000, perLane: 1000 });
      assert.equal(leases.length, expected.size);
      for (const held of leases) assert.ok((await content(queue, held)) === expected.get(held.envelope.id), `the body of ${held.envelope.id}`);
    });

    test('what was abandoned is gone, and its id may be used', async (engine, queue) => {
      const message = draft({ body: 'small' });
      await queue.write(message.envelope.id, 0, Buffer.alloc(100_000));
      queue.abandon(message.envelope.id);
      await queue.accept(message, { lease: false });
      assert.equal(await content(queue, await one(queue)), 'small');
      assert.equal((await engine.admin.counts()).bodyBytes, 5);
    });

    test('small bodies come with their leases, as far as there is room for them', async (_engine, queue) => {
      for (let i = 0; i < 3; i++) await accept(queue, { to: [`a@lane${i}.example`], body: 'x'.repeat(100) });
      const chunked = draft({ to: ['a@lane3.example'], written: 1, body: 'tail' });
      await queue.write(chunked.envelope.id, 0, Buffer.from('chunk'));
      await queue.accept(chunked, { lease: false });
      const leases = await lease(queue, { bodyBytes: 250 });
      assert.equal(leases.length, 4);
      assert.equal(leases.filter(({ body }) => body !== null).length, 2);
      assert.ok(leases.every(({ fresh }) => !fresh));
      for (const held of leases) {
        const whole = await content(queue, held);
        if (held.body !== null) assert.equal(Buffer.concat(held.body).toString(), whole);
      }
    });

    test('what is given back into another lane waits there; where that is on hold it is held', async (engine, queue) => {
      await accept(queue, { to: [{ to: 'a@one.example', lane: 'mx:one.example' }] });
      await queue.giveBack([await one(queue)], { lane: 'mx:mx.one.example' });
      assert.deepEqual(await lease(queue, { only: 'mx:one.example' }), []);
      const held = await one(queue, { only: 'mx:mx.one.example' });
      const told = new Promise<void>((resolve) => queue.onHeld(resolve));
      await engine.admin.hold({ by: 'lane', lane: 'mx:other.example' });
      await told;
      assert.equal(queue.isHeld({ lane: 'mx:other.example', domain: 'x.example', credential: null }), true);
      assert.equal(queue.isHeld({ lane: 'mx:mx.one.example', domain: 'one.example', credential: null }), false);
      await queue.giveBack([held], { lane: 'mx:other.example' });
      assert.deepEqual(
        (await engine.admin.list({ limit: 10 })).map(({ state, lane }) => [state, lane]),
        [['held', 'mx:other.example']],
      );
      await engine.admin.release({ by: 'lane', lane: 'mx:other.example' });
      assert.equal((await one(queue)).lane, 'mx:other.example');
    });

    test('the counts are those of the rows, whatever has happened', async (engine, queue) => {
      const random = seeded(20261124);
      const pick = <T>(items: readonly T[]): T | undefined => items[Math.floor(random() * items.length)];
      const matches = async (): Promise<void> => {
        const rows = await engine.admin.list({ limit: 10_000 });
        const sizes = new Map(rows.map(({ id, sizeBytes }) => [id, sizeBytes]));
        const of = (state: string): number => rows.filter((row) => row.state === state).length;
        const { oldestAtMs, ...counts } = await engine.admin.counts();
        const waiting = rows.filter(({ state }) => state !== 'captured').map(({ acceptedAtMs }) => acceptedAtMs);
        assert.deepEqual(counts, {
          ready: of('ready'),
          leased: of('leased'),
          deferred: of('deferred'),
          held: of('held'),
          captured: of('captured'),
          messages: sizes.size,
          bodyBytes: [...sizes.values()].reduce((sum, bytes) => sum + bytes, 0),
        });
        assert.equal(oldestAtMs, waiting.length === 0 ? null : Math.min(...waiting));
      };
      const leased: Lease[] = [];
      for (let step = 0; step < 300; step++) {
        const id = pick(await engine.admin.list({ limit: 50 }))?.id ?? '';
        const held = leased.pop();
        switch (Math.floor(random() * 9)) {
          case 0:
          case 1:
            await accept(queue, { to: ['a@one.example', 'b@two.example', 'c@one.example'].slice(0, 1 + Math.floor(random() * 3)), body: 'x'.repeat(Math.floor(random() * 50)) });
            break;
          case 2:
            leased.push(...(await lease(queue, { limit: 2 })));
            break;
          case 3:
            if (held !== undefined) await settle(queue, held, pick(['delivered', 'bounced', 'captured'] as const));
            break;
          case 4:
            if (held !== undefined) await queue.settle({ lease: held, settlements: held.recipients.map(({ n }) => deferred(n, Date.now() - 1)), offspring: [draft()] });
            break;
          case 5:
            if (held !== undefined) await queue.giveBack([held]);
            break;
          case 6:
            await engine.admin.hold({ by: 'message', id });
            break;
          case 7:
            await engine.admin.release({ by: 'message', id });
            break;
          default:
            await engine.admin.cancel({ by: 'message', id });
            // Refused, and with it everything it had counted.
            if (held !== undefined)
              await queue
                .settle({ lease: { ...held, token: held.token + 1 }, settlements: held.recipients.map(({ n }) => settled(n, 'delivered')), offspring: [draft()] })
                .catch(() => {});
        }
        if (step % 20 === 0) await matches();
      }
      await matches();
      await engine.workerGone(1);
      await matches();
    });

    test('the body of a message that is no longer there is an error, not an empty message', async (_engine, queue) => {
      const message = draft({ written: 2 });
      for (const n of [0, 1]) await queue.write(message.envelope.id, n, Buffer.from('x'));
      await queue.accept(message, { lease: false });
      const held = await one(queue);
      await settle(queue, held);
      await assert.rejects(content(queue, held), lost);
    });

    restarting('chunks whose message never came are swept at the next start; those of messages stay', async (start, restart) => {
      const queue = start.worker(1);
      await queue.write('orphan0000000000', 0, Buffer.alloc(200_000));
      const message = draft({ written: 1, body: 'tail' });
      await queue.write(message.envelope.id, 0, Buffer.from('chunk and '));
      await queue.accept(message, { lease: false });
      const engine = await restart(start);
      assert.equal((await engine.admin.counts()).messages, 1);
      const again = engine.worker(1);
      assert.equal(await content(again, await one(again)), 'chunk and tail');
      await again.write('orphan0000000000', 0, Buffer.from('y'));
    });
  });

  describe(`${name}: settle`, () => {
    test('delivered, bounced and expired leave the queue; captured stays for reading', async (engine, queue) => {
      const id = await accept(queue, { to: ['a@one.example', 'b@one.example', 'c@one.example', 'd@one.example'] });
      const held = await one(queue);
      await queue.settle({ lease: held, settlements: [settled(0, 'delivered'), settled(1, 'bounced'), settled(2, 'expired'), settled(3, 'captured')], offspring: [] });
      const found = await engine.admin.show(id);
      assert.deepEqual(
        found?.recipients.map(({ n, state }) => ({ n, state })),
        [{ n: 3, state: 'captured' }],
      );
      assert.notEqual(await engine.admin.read(id), null);
      assert.deepEqual(await lease(queue), []);
      assert.deepEqual(types(await engine.events(id)), ['accepted', 'delivered 0', 'bounced 1', 'expired 2', 'captured 3']);
    });

    test('the last recipient takes message and body with it', async (engine, queue) => {
      const id = await accept(queue, { to: ['a@one.example', 'b@two.example'] });
      const leases = await lease(queue);
      for (const [i, held] of leases.entries()) {
        assert.equal((await engine.admin.counts()).messages, 1, String(i));
        await settle(queue, held);
      }
      assert.deepEqual(await engine.admin.counts(), { ready: 0, leased: 0, deferred: 0, held: 0, captured: 0, messages: 0, bodyBytes: 0, oldestAtMs: null });
      assert.equal(await engine.admin.show(id), null);
      assert.equal(await engine.admin.read(id), null);
    });

    test('deferred: not before its time, with what happened; a second time in another lane', async (engine, queue) => {
      const id = await accept(queue);
      const first = await one(queue);
      await queue.settle({ lease: first, settlements: [deferred(0, Date.now() + HOUR_MS, { warned: true })], offspring: [] });
      assert.deepEqual(await lease(queue), []);
      assert.equal((await engine.admin.retry({ by: 'message', id })).recipients, 1);
      const second = await one(queue);
      assert.deepEqual([second.recipients[0]?.attempts, second.recipients[0]?.warned, second.recipients[0]?.lastOutcome?.verdict], [1, true, 'deferred']);
      await queue.settle({ lease: second, settlements: [deferred(0, Date.now() - 1, { lane: 'mx:elsewhere.example' })], offspring: [] });
      const third = await one(queue);
      assert.deepEqual([third.lane, third.recipients[0]?.attempts, third.recipients[0]?.warned], ['mx:elsewhere.example', 2, true]);
    });

    test('some of a lease now, the rest later', async (_engine, queue) => {
      await accept(queue, { to: ['a@one.example', 'b@one.example'] });
      const held = await one(queue);
      await queue.settle({ lease: held, settlements: [settled(1, 'delivered')], offspring: [] });
      assert.deepEqual(await lease(queue), []);
      await queue.settle({ lease: held, settlements: [settled(0, 'delivered')], offspring: [] });
      assert.deepEqual(await lease(queue), []);
    });

    test('offspring comes to be with the outcome', async (engine, queue) => {
      await accept(queue);
      const held = await one(queue);
      const report = draft({ to: ['sender@home.example'], envelope: { from: null, kind: 'dsn' } });
      await queue.settle({ lease: held, settlements: [settled(0, 'bounced')], offspring: [report] });
      const next = await one(queue);
      assert.deepEqual([next.envelope.id, next.envelope.kind, next.lane], [report.envelope.id, 'dsn', 'mx:home.example']);
      assert.equal(await content(queue, next), String(report.tail[0]));
      assert.deepEqual(types(await engine.events(report.envelope.id)), ['accepted']);
    });
  });

  describe(`${name}: fencing`, () => {
    test('a worker that was given up cannot settle what somebody else has now', async (engine, queue) => {
      const id = await accept(queue);
      const stale = await one(queue);
      assert.equal(await engine.workerGone(1), 1);
      const other = engine.worker(2);
      const held = await one(other);
      const late = engine.worker(1);
      await assert.rejects(late.settle({ lease: stale, settlements: [settled(0, 'delivered')], offspring: [draft()] }), lost);
      await late.giveBack([stale]);
      assert.deepEqual(await lease(late), []);
      await settle(other, held);
      assert.deepEqual(types(await engine.events(id)), ['accepted', 'delivered 0']);
      assert.equal((await engine.admin.counts()).messages, 0, 'the offspring of a refused outcome does not come to be');
    });

    test('a lease that was given back is worth nothing, to the same worker too', async (_engine, queue) => {
      await accept(queue);
      const stale = await one(queue);
      await queue.giveBack([stale]);
      const held = await one(queue);
      await assert.rejects(settle(queue, stale), lost);
      await queue.giveBack([stale]);
      assert.deepEqual(await lease(queue), [], 'the lease that counts was not touched');
      await settle(queue, held);
    });

    test('nothing is settled twice, and a refused outcome changes nothing', async (_engine, queue) => {
      await accept(queue, { to: ['a@one.example', 'b@one.example'] });
      const held = await one(queue);
      await queue.settle({ lease: held, settlements: [settled(0, 'delivered')], offspring: [] });
      await assert.rejects(queue.settle({ lease: held, settlements: [settled(1, 'delivered'), settled(0, 'bounced')], offspring: [] }), lost);
      await assert.rejects(queue.settle({ lease: held, settlements: [settled(1, 'delivered'), deferred(0, 1)], offspring: [] }), lost);
      await queue.settle({ lease: held, settlements: [settled(1, 'delivered')], offspring: [] });
    });

    test('what a worker said before it died counts', async (engine, queue) => {
      const done = await accept(queue);
      const held = await one(queue);
      const rest = await Promise.all([accept(queue), accept(queue)]);
      // Said, not awaited: the worker dies in the same moment. Nobody hears the answers.
      settle(queue, held).catch(() => {});
      lease(queue).catch(() => {});
      await engine.workerGone(1);
      const leases = await lease(engine.worker(2));
      assert.deepEqual(leases.map((one) => one.envelope.id).toSorted(), rest.toSorted());
      assert.deepEqual(types(await engine.events(done)), ['accepted', 'delivered 0']);
    });

    test("a dead worker's unfinished chunks are dropped, a living one's are not", async (engine, queue) => {
      const other = engine.worker(2);
      const message = draft({ written: 1, body: '' });
      await queue.write('unfinished000000', 0, Buffer.from('x'));
      await other.write(message.envelope.id, 0, Buffer.from('mine'));
      await engine.workerGone(1);
      await other.accept(message, { lease: false });
      assert.equal(await content(other, await one(other)), 'mine');
    });
  });

  describe(`${name}: whose turn it is`, () => {
    test('limit, perLane, skip and only', async (_engine, queue) => {
      for (let i = 0; i < 4; i++) await accept(queue, { to: ['a@one.example', 'b@two.example', 'c@three.example'] });
      const count = (leases: readonly Lease[]): Record<string, number> => {
        const lanes: Record<string, number> = {};
        for (const held of leases) lanes[held.lane] = (lanes[held.lane] ?? 0) + held.recipients.length;
        return lanes;
      };
      assert.deepEqual(count(await lease(queue, { perLane: 1, skip: ['mx:two.example'] })), { 'mx:one.example': 1, 'mx:three.example': 1 });
      assert.deepEqual(count(await lease(queue, { only: 'mx:two.example', perLane: 2 })), { 'mx:two.example': 2 });
      const limited = await lease(queue, { limit: 3 });
      assert.equal(limited.length, 3);
      assert.equal(
        (await lease(queue)).reduce(
          (sum, held) => sum + held.recipients.length,
          limited.reduce((sum, held) => sum + held.recipients.length, 0),
        ),
        8,
      );
    });

    test('within a lane: first what has waited longest', async (_engine, queue) => {
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) ids.push(await accept(queue));
      const taken: string[] = [];
      for (let i = 0; i < 5; i++) taken.push((await one(queue, { limit: 1 })).envelope.id);
      assert.deepEqual(taken, ids);
    });

    test('many lanes: a full one keeps no other waiting', async (_engine, queue) => {
      for (let i = 0; i < 40; i++) await accept(queue, { to: ['a@flood.example'] });
      for (let i = 0; i < 40; i++) await accept(queue, { to: [`a@d${i}.example`] });
      const seen = new Set<string>();
      // Every lane has had its turn after as many rounds as there are lanes.
      for (let round = 0; round < 41; round++) for (const held of await lease(queue, { limit: 4, perLane: 1 })) seen.add(held.lane);
      assert.equal(seen.size, 41);
    });

    test('back-off: this lane waits, fresh mail of it too, the others go on; a retry of the lane ends it', async (engine, queue) => {
      queue.backOff('mx:one.example', Date.now() + HOUR_MS, 'It said no.');
      await accept(queue);
      await accept(queue, { to: ['b@two.example'] });
      assert.deepEqual(await queue.accept(draft(), { lease: true }), []);
      assert.deepEqual(
        (await lease(queue)).map((held) => held.lane),
        ['mx:two.example'],
      );
      const row = (await engine.admin.lanes()).find(({ lane }) => lane === 'mx:one.example');
      assert.ok((row?.backOffUntilMs ?? 0) > Date.now() + HOUR_MS / 2);
      assert.equal(row?.backOffCause, 'It said no.');
      const waiting = await engine.admin.list({ lane: 'mx:one.example', limit: 10 });
      assert.ok(waiting.every(({ nextAtMs, backOffCause }) => nextAtMs === row.backOffUntilMs && backOffCause === 'It said no.'));
      assert.equal((await engine.admin.list({ lane: 'mx:two.example', limit: 1 }))[0]?.backOffCause, null);
      assert.equal((await engine.admin.retry({ by: 'lane', lane: 'mx:one.example' })).recipients, 2);
      assert.equal((await lease(queue)).length, 2);
    });

    test('a retry of one message ends the back-off of its lanes, and of no other', async (engine, queue) => {
      for (const lane of ['mx:one.example', 'mx:two.example']) queue.backOff(lane, Date.now() + HOUR_MS, 'It said no.');
      const id = await accept(queue);
      await accept(queue, { to: ['b@two.example'] });
      await engine.admin.retry({ by: 'message', id });
      assert.deepEqual(
        (await lease(queue)).map((held) => held.lane),
        ['mx:one.example'],
      );
    });

    test('a back-off that is over holds nothing', async (_engine, queue) => {
      queue.backOff('mx:one.example', Date.now() - 1, 'It said no.');
      await accept(queue);
      await one(queue);
    });

    test('whoever listens is told of work that came, was returned, or fell due', async (engine, queue) => {
      let told = 0;
      let wake = (): void => {};
      queue.onReady(() => {
        told++;
        wake();
      });
      const heard = async (act: () => Promise<unknown>): Promise<void> => {
        const before = told;
        const next = new Promise<void>((resolve) => (wake = resolve));
        await act();
        if (told === before) await next;
      };
      await heard(() => accept(engine.worker(2)));
      const held = await one(queue);
      await heard(() => queue.giveBack([held]));
      const again = await one(queue);
      await heard(() => queue.settle({ lease: again, settlements: [deferred(0, Date.now() + NEXT_TURN_MS)], offspring: [] }));
      const third = await one(queue);
      await queue.settle({ lease: third, settlements: [deferred(0, Date.now() + HOUR_MS)], offspring: [] });
      await heard(() => engine.admin.retry({ by: 'all' }));
      await engine.admin.hold({ by: 'all' });
      await heard(() => engine.admin.release({ by: 'all' }));
      assert.equal((await lease(queue)).length, 1);
    });

    test('given back: now, or at a time', async (_engine, queue) => {
      await accept(queue);
      const held = await one(queue);
      await queue.giveBack([held], { nextAtMs: Date.now() + HOUR_MS });
      assert.deepEqual(await lease(queue), []);
      await accept(queue, { to: ['b@two.example'] });
      const other = await one(queue);
      await queue.giveBack([other]);
      const again = await one(queue);
      assert.equal(again.recipients[0]?.attempts, 0, 'it was no attempt');
    });
  });

  describe(`${name}: expiry and warnings`, () => {
    const past = { expiresAtMs: Date.now() - 1000 };

    test('what has expired is found whatever its lane and its next attempt', async (_engine, queue) => {
      queue.backOff('mx:one.example', Date.now() + HOUR_MS, 'It said no.');
      const waiting = await accept(queue, { envelope: past });
      await accept(queue, { to: ['b@two.example'] });
      const deferredId = await accept(queue, { to: ['c@three.example'], envelope: past });
      const held = await one(queue, { only: 'mx:three.example' });
      await queue.settle({ lease: held, settlements: [deferred(0, Date.now() + HOUR_MS, { lane: 'mx:three.example' })], offspring: [] });
      const overdue = await queue.leaseOverdue({ limit: 100 });
      assert.deepEqual(overdue.map((one) => one.envelope.id).toSorted(), [waiting, deferredId].toSorted());
      assert.deepEqual(await queue.leaseOverdue({ limit: 100 }), [], 'they are leased');
    });

    test('a warning is due once', async (_engine, queue) => {
      await accept(queue, { envelope: { warnAtMs: Date.now() - 1000 } });
      await accept(queue, { envelope: { warnAtMs: null } });
      const [held, none] = await queue.leaseOverdue({ limit: 100 });
      assert.ok(held !== undefined && none === undefined);
      assert.equal(held.recipients[0]?.warned, false);
      await queue.settle({ lease: held, settlements: [deferred(0, Date.now() + HOUR_MS, { warned: true })], offspring: [] });
      assert.deepEqual(await queue.leaseOverdue({ limit: 100 }), []);
    });

    test('a stretch at a time, all of them in the end', async (_engine, queue) => {
      for (let i = 0; i < 25; i++) await accept(queue, { to: [`a@d${i % 3}.example`], envelope: past });
      let found = 0;
      for (let round = 0; round < 6; round++) found += (await queue.leaseOverdue({ limit: 10 })).length;
      assert.equal(found, 25);
    });

    test('what is held does not expire before it is released', async (engine, queue) => {
      const id = await accept(queue, { envelope: past });
      await engine.admin.hold({ by: 'message', id });
      assert.deepEqual(await queue.leaseOverdue({ limit: 100 }), []);
      await engine.admin.release({ by: 'message', id });
      assert.equal((await queue.leaseOverdue({ limit: 100 })).length, 1);
    });
  });

  describe(`${name}: the operator`, () => {
    const everything = async (queue: Queue): Promise<void> => {
      await accept(queue, { id: 'first00000000000', to: ['a@one.example', 'b@two.example'], credential: 'app' });
      await accept(queue, { id: 'second0000000000', to: ['c@one.example'], credential: 'other' });
      await accept(queue, { id: 'third00000000000', to: [{ to: 'd@one.example', lane: 'smarthost:up' }] });
    };
    const SELECTIONS: readonly (readonly [Selection, readonly string[]])[] = [
      [{ by: 'message', id: 'first00000000000' }, ['a@one.example', 'b@two.example']],
      [{ by: 'lane', lane: 'mx:one.example' }, ['a@one.example', 'c@one.example']],
      [{ by: 'domain', domain: 'one.example' }, ['a@one.example', 'c@one.example', 'd@one.example']],
      [{ by: 'credential', credential: 'app' }, ['a@one.example', 'b@two.example']],
      [{ by: 'all' }, ['a@one.example', 'b@two.example', 'c@one.example', 'd@one.example']],
    ];
    const waiting = async (engine: Engine, state: 'ready' | 'held'): Promise<string[]> => (await engine.admin.list({ state, limit: 100 })).map((row) => row.to).toSorted();

    for (const [selection, touched] of SELECTIONS) {
      test(`hold and release by ${selection.by}`, async (engine, queue) => {
        await everything(queue);
        assert.equal((await engine.admin.hold(selection)).recipients, touched.length);
        assert.deepEqual(await waiting(engine, 'held'), touched);
        assert.equal((await lease(queue)).flatMap((held) => held.recipients).length, 4 - touched.length);
        assert.equal((await engine.admin.hold(selection)).recipients, 0, 'a second time there is nothing more to hold');
        assert.equal((await engine.admin.release(selection)).recipients, touched.length);
        assert.deepEqual(await waiting(engine, 'ready'), touched);
        assert.equal((await lease(queue)).flatMap((held) => held.recipients).length, touched.length);
      });

      test(`cancel by ${selection.by}`, async (engine, queue) => {
        await everything(queue);
        assert.equal((await engine.admin.cancel(selection)).recipients, touched.length);
        assert.equal((await lease(queue)).flatMap((held) => held.recipients).length, 4 - touched.length);
        assert.equal((await engine.admin.cancel(selection)).recipients, 0);
      });

      test(`retry by ${selection.by}`, async (engine, queue) => {
        await everything(queue);
        for (const held of await lease(queue)) {
          await queue.settle({ lease: held, settlements: held.recipients.map(({ n }) => deferred(n, Date.now() + HOUR_MS, { lane: held.lane })), offspring: [] });
        }
        assert.equal((await engine.admin.retry(selection)).recipients, touched.length);
        const due = (await lease(queue)).flatMap((held) => held.recipients.map((recipient) => recipient.address.text));
        assert.deepEqual(due.toSorted(), touched);
      });

      restarting(`a hold by ${selection.by} lasts over a restart${selection.by === 'message' ? '' : ', and for what comes later'}`, async (start, restart) => {
        await everything(start.worker(1));
        await start.admin.hold(selection);
        const engine = await restart(start);
        const queue = engine.worker(1);
        assert.equal((await lease(queue)).flatMap((held) => held.recipients).length, 4 - touched.length);
        if (selection.by === 'message') return;
        const later = draft({ to: ['z@one.example'], credential: 'app' });
        assert.deepEqual(await queue.accept(later, { lease: true }), []);
        assert.deepEqual(await lease(queue), []);
        await engine.admin.release(selection);
        assert.equal((await lease(queue)).flatMap((held) => held.recipients).length, touched.length + 1);
        const free = draft({ to: ['z@one.example'], credential: 'app' });
        assert.equal((await queue.accept(free, { lease: true })).length, 1);
      });
    }

    test('what is being delivered is not touched, and is held when it comes back', async (engine, queue) => {
      await accept(queue, { to: ['a@one.example'] });
      await accept(queue, { to: ['b@one.example'] });
      const [first, second] = await lease(queue);
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual(await engine.admin.hold({ by: 'domain', domain: 'one.example' }), { recipients: 0, underWay: 2 });
      assert.ok(!queue.isRecalled(first));
      await queue.settle({ lease: first, settlements: [deferred(0, 1)], offspring: [] });
      await queue.giveBack([second]);
      assert.deepEqual(await lease(queue), []);
      assert.equal((await engine.admin.release({ by: 'domain', domain: 'one.example' })).recipients, 2);
      assert.equal((await lease(queue)).length, 2);
    });

    test('what is cancelled while it is leased is recalled, and is gone when it comes back, unless it was delivered', async (engine, queue) => {
      const ids: string[] = [];
      for (const to of ['a', 'b', 'c', 'd']) ids.push(await accept(queue, { to: [`${to}@one.example`, `${to}@two.example`] }));
      const leases = (await lease(queue)).filter(({ lane }) => lane === 'mx:one.example');
      assert.equal(leases.length, 4);
      const told = new Promise<void>((resolve) => queue.onHeld(resolve));
      assert.deepEqual(await engine.admin.cancel({ by: 'domain', domain: 'one.example' }), { recipients: 0, underWay: 4 });
      assert.deepEqual(await engine.admin.cancel({ by: 'domain', domain: 'one.example' }), { recipients: 0, underWay: 0 });
      await told;
      assert.ok(leases.every((held) => queue.isRecalled(held)));
      const [returned, put, sent, refused] = leases;
      assert.ok(returned !== undefined && put !== undefined && sent !== undefined && refused !== undefined);
      await queue.giveBack([returned]);
      await queue.settle({ lease: put, settlements: [deferred(0, 1)], offspring: [] });
      await settle(queue, sent);
      await settle(queue, refused, 'bounced');
      assert.deepEqual(
        (await engine.admin.list({ limit: 100, domain: 'one.example' })).map((row) => row.to),
        [],
      );
      const fates = await Promise.all(ids.map(async (id) => types(await engine.events(id)).filter((type) => type.endsWith(' 0'))));
      assert.deepEqual(fates, [['cancelled 0'], ['deferred 0', 'cancelled 0'], ['delivered 0'], ['bounced 0']]);
      await engine.workerGone(1);
      assert.deepEqual(
        (await engine.admin.list({ limit: 100 })).map((row) => row.state),
        ['ready', 'ready', 'ready', 'ready'],
      );
    });

    test('a message held by its id while it is leased is held when it comes back, and a release before that undoes it', async (engine, queue) => {
      const ids: string[] = [];
      for (const to of ['a', 'b', 'c']) ids.push(await accept(queue, { to: [`${to}@one.example`] }));
      const leases = await lease(queue);
      for (const id of ids) assert.deepEqual(await engine.admin.hold({ by: 'message', id }), { recipients: 0, underWay: 1 });
      assert.deepEqual(await engine.admin.hold({ by: 'message', id: ids[0] ?? '' }), { recipients: 0, underWay: 0 });
      assert.deepEqual(await engine.admin.release({ by: 'message', id: ids[1] ?? '' }), { recipients: 0, underWay: 0 });
      await engine.admin.cancel({ by: 'message', id: ids[2] ?? '' });
      await queue.giveBack(leases);
      assert.deepEqual(
        (await engine.admin.list({ limit: 100 })).map(({ to, state }) => [to, state]),
        [
          ['a@one.example', 'held'],
          ['b@one.example', 'ready'],
        ],
      );
    });

    for (const end of ['the worker', 'the server'] as const) {
      restarting(`what was said of leased recipients outlasts the end of ${end}`, async (start, restart) => {
        for (const id of ['cancelled0000000', 'held000000000000', 'free000000000000']) await accept(start.worker(1), { id });
        assert.equal((await lease(start.worker(1))).length, 3);
        await start.admin.cancel({ by: 'message', id: 'cancelled0000000' });
        await start.admin.hold({ by: 'message', id: 'held000000000000' });
        if (end === 'the worker') await start.workerGone(1);
        const engine = end === 'the worker' ? start : await restart(start);
        assert.deepEqual(
          (await engine.admin.list({ limit: 100 })).map(({ id, state }) => [id, state]),
          [
            ['held000000000000', 'held'],
            ['free000000000000', 'ready'],
          ],
        );
        assert.deepEqual(types(await engine.events('cancelled0000000')), ['accepted', 'cancelled 0']);
        assert.equal((await engine.admin.counts()).messages, 2);
      });
    }

    test("a dead worker's recipients are held when they come back to something that is on hold", async (engine, queue) => {
      await accept(queue);
      await one(queue);
      await engine.admin.hold({ by: 'lane', lane: 'mx:one.example' });
      await engine.workerGone(1);
      assert.deepEqual(await lease(engine.worker(2)), []);
      assert.equal((await engine.admin.counts()).held, 1);
    });

    restarting('so are those that were leased when the server ended', async (start, restart) => {
      const queue = start.worker(1);
      await accept(queue);
      await one(queue);
      await start.admin.hold({ by: 'all' });
      const engine = await restart(start);
      assert.deepEqual(await lease(engine.worker(1)), []);
      assert.equal((await engine.admin.counts()).held, 1);
    });

    test('two holds on one thing: both must be released; a message by its id goes at once', async (engine, queue) => {
      await accept(queue, { id: 'both000000000000', to: ['a@one.example'], credential: 'app' });
      await engine.admin.hold({ by: 'domain', domain: 'one.example' });
      await engine.admin.hold({ by: 'credential', credential: 'app' });
      assert.equal((await engine.admin.release({ by: 'credential', credential: 'app' })).recipients, 0);
      assert.deepEqual(await lease(queue), []);
      assert.equal((await engine.admin.release({ by: 'message', id: 'both000000000000' })).recipients, 1);
      const held = await one(queue);
      await queue.giveBack([held]);
      assert.deepEqual(await lease(queue), [], 'it comes back to a domain on hold');
      assert.equal((await engine.admin.release({ by: 'domain', domain: 'one.example' })).recipients, 1);
      await one(queue);
    });

    test('everything on hold: releasing all ends every hold', async (engine, queue) => {
      await engine.admin.hold({ by: 'all' });
      await engine.admin.hold({ by: 'lane', lane: 'mx:one.example' });
      await accept(queue);
      assert.equal((await engine.admin.lanes()).find(({ lane }) => lane === 'mx:one.example')?.onHold, true);
      await engine.admin.release({ by: 'all' });
      assert.equal((await engine.admin.lanes()).find(({ lane }) => lane === 'mx:one.example')?.onHold, false);
      await one(queue);
    });

    test('captured messages are removed by cancel, with their bodies', async (engine, queue) => {
      const id = await accept(queue, { to: [{ to: 'a@one.example', lane: 'capture:' }] });
      await settle(queue, await one(queue), 'captured');
      assert.equal((await engine.admin.retry({ by: 'message', id })).recipients, 0);
      assert.equal((await engine.admin.hold({ by: 'message', id })).recipients, 0);
      assert.equal((await engine.admin.cancel({ by: 'message', id })).recipients, 1);
      assert.equal(await engine.admin.read(id), null);
      assert.equal((await engine.admin.counts()).bodyBytes, 0);
    });

    test('nothing is touched by what is not there', async (engine) => {
      for (const selection of [{ by: 'message', id: '0000000000000000' }, { by: 'lane', lane: 'x' }, { by: 'all' }] as const) {
        for (const verb of ['retry', 'hold', 'release', 'cancel'] as const) assert.equal((await engine.admin[verb](selection)).recipients, 0);
      }
    });

    test('list: filters, pages, and every field', async (engine, queue) => {
      await everything(queue);
      const to = async (filter: Partial<Parameters<QueueAdmin['list']>[0]>): Promise<string[]> => (await engine.admin.list({ limit: 100, ...filter })).map((row) => row.to);
      assert.deepEqual(await to({}), ['a@one.example', 'b@two.example', 'c@one.example', 'd@one.example']);
      assert.deepEqual(await to({ id: 'first00000000000' }), ['a@one.example', 'b@two.example']);
      assert.deepEqual(await to({ lane: 'smarthost:up' }), ['d@one.example']);
      assert.deepEqual(await to({ domain: 'two.example' }), ['b@two.example']);
      assert.deepEqual(await to({ credential: 'app', domain: 'one.example' }), ['a@one.example']);
      assert.deepEqual(await to({ limit: 2 }), ['a@one.example', 'b@two.example']);
      assert.deepEqual(await to({ limit: 2, after: { id: 'first00000000000', n: 0 } }), ['b@two.example', 'c@one.example']);
      const [row] = await engine.admin.list({ limit: 1 });
      assert.deepEqual(
        { ...row, acceptedAtMs: 0, nextAtMs: 0, expiresAtMs: 0, sizeBytes: 0 },
        {
          id: 'first00000000000',
          n: 0,
          from: 'sender@example.com',
          to: 'a@one.example',
          lane: 'mx:one.example',
          state: 'ready',
          attempts: 0,
          acceptedAtMs: 0,
          nextAtMs: 0,
          backOffCause: null,
          expiresAtMs: 0,
          sizeBytes: 0,
          subject: 'first00000000000',
          credential: 'app',
          lastOutcome: null,
        },
      );
    });

    test('the states of a recipient, in list, lanes and counts alike', async (engine, queue) => {
      await accept(queue, { to: ['leased@one.example'] });
      await one(queue);
      await accept(queue, { to: ['later@one.example'] });
      const held = await one(queue);
      const nextAtMs = Date.now() + HOUR_MS;
      await queue.settle({ lease: held, settlements: [deferred(0, nextAtMs)], offspring: [] });
      const stopped = await accept(queue, { to: ['held@one.example'] });
      await engine.admin.hold({ by: 'message', id: stopped });
      await accept(queue, { to: ['ready@one.example'] });
      await accept(queue, { to: [{ to: 'captured@one.example', lane: 'capture:' }] });
      await settle(queue, await one(queue, { only: 'capture:' }), 'captured');
      const rows = await engine.admin.list({ limit: 100 });
      assert.deepEqual(Object.fromEntries(rows.map((row) => [row.to.split('@')[0], row.state])), {
        leased: 'leased',
        later: 'deferred',
        held: 'held',
        ready: 'ready',
        captured: 'captured',
      });
      assert.deepEqual(
        (await engine.admin.list({ state: 'waiting', limit: 100 })).map(({ to }) => to),
        rows.filter(({ state }) => state !== 'captured').map(({ to }) => to),
      );
      for (const { state, to } of rows)
        assert.deepEqual(
          (await engine.admin.list({ state, limit: 100 })).map((row) => row.to),
          [to],
        );
      const lane = (await engine.admin.lanes()).find((row) => row.lane === 'mx:one.example');
      assert.deepEqual([lane?.ready, lane?.leased, lane?.deferred, lane?.held], [1, 1, 1, 1]);
      const counts = await engine.admin.counts();
      assert.deepEqual([counts.ready, counts.leased, counts.deferred, counts.held, counts.captured, counts.messages], [1, 1, 1, 1, 1, 5]);
      assert.equal(rows.find((row) => row.state === 'deferred')?.nextAtMs, nextAtMs);
      assert.equal(rows.find((row) => row.state === 'deferred')?.lastOutcome?.verdict, 'deferred');
    });
  });

  describe(`${name}: events`, () => {
    test('the whole life of a message, in order, with growing numbers', async (engine, queue) => {
      const id = await accept(queue);
      const first = await one(queue);
      await queue.settle({ lease: first, settlements: [deferred(0, Date.now() + HOUR_MS)], offspring: [] });
      await engine.admin.hold({ by: 'message', id });
      await engine.admin.release({ by: 'message', id });
      const second = await one(queue);
      await queue.settle({ lease: second, settlements: [deferred(0, Date.now() + HOUR_MS)], offspring: [] });
      await engine.admin.retry({ by: 'message', id });
      await settle(queue, await one(queue));
      const events = await engine.events(id);
      assert.deepEqual(types(events), ['accepted', 'deferred 0', 'held 0', 'released 0', 'deferred 0', 'retried 0', 'delivered 0']);
      assert.ok(events.every((event, i) => i === 0 || event.seq >= (events[i - 1]?.seq ?? 0)));
    });

    test('what is held on arrival, or when it comes back, is told to be held', async (engine, queue) => {
      const early = await accept(queue);
      const held = await one(queue);
      await engine.admin.hold({ by: 'all' });
      await queue.settle({ lease: held, settlements: [deferred(0, 1)], offspring: [] });
      const late = await accept(queue);
      assert.deepEqual(types(await engine.events(early)), ['accepted', 'deferred 0', 'held 0']);
      assert.deepEqual(types(await engine.events(late)), ['accepted', 'held 0']);
    });

    test('cancelled is told for each recipient', async (engine, queue) => {
      const id = await accept(queue, { to: ['a@one.example', 'b@two.example'] });
      await engine.admin.cancel({ by: 'message', id });
      assert.deepEqual(types(await engine.events(id)), ['accepted', 'cancelled 0', 'cancelled 1']);
    });

    restarting('nothing is lost by a restart', async (start, restart) => {
      const queue = start.worker(1);
      const id = await accept(queue);
      await settle(queue, await one(queue));
      const engine = await restart(start);
      assert.deepEqual([...new Set(types(await engine.events(id)))], ['accepted', 'delivered 0']);
    });
  });

  describe(`${name}: restart`, () => {
    restarting('leases go back, as they were; what was settled stays settled; times are kept', async (start, restart) => {
      const queue = start.worker(1);
      const leased = await accept(queue, { to: ['a@one.example'] });
      const later = await accept(queue, { to: ['b@two.example'] });
      const gone = await accept(queue, { to: ['c@three.example'] });
      for (const held of await lease(queue)) {
        if (held.envelope.id === later) await queue.settle({ lease: held, settlements: [deferred(0, Date.now() + HOUR_MS, { lane: held.lane })], offspring: [] });
        if (held.envelope.id === gone) await settle(queue, held);
      }
      const engine = await restart(start);
      const again = engine.worker(1);
      const held = await one(again);
      assert.equal(held.envelope.id, leased);
      assert.equal(held.recipients[0]?.attempts, 0);
      assert.deepEqual(
        (await engine.admin.list({ limit: 100 })).map(({ id, state }) => `${id} ${state}`),
        [`${leased} leased`, `${later} deferred`],
      );
    });

    restarting('a lease from before it is worth nothing', async (start, restart) => {
      const queue = start.worker(1);
      await accept(queue);
      const stale = await one(queue);
      const engine = await restart(start);
      const again = engine.worker(1);
      const held = await one(again);
      await assert.rejects(settle(again, stale), lost);
      await settle(again, held);
    });
  });

  describe(`${name}: out of space`, () => {
    const small = (title: string, run: (engine: Engine, space: { fill(): void; free(): void }) => Promise<void>): void => {
      it(title, async (t) => {
        const opened = await openSmall();
        if ('skip' in opened) return t.skip(opened.skip);
        try {
          await run(opened.engine, opened);
        } finally {
          await opened.engine.close();
        }
      });
    };

    small('mail is refused, nothing of it stays, and what is there goes its way', async (engine, space) => {
      const queue = engine.worker(1);
      const before = await Promise.all(Array.from({ length: 20 }, (_, i) => accept(queue, { to: [`a@d${i % 4}.example`] })));
      space.fill();
      const big = 'x'.repeat(200_000);
      let refused = 0;
      for (let i = 0; i < 60; i++) {
        await accept(queue, { body: big, to: ['late@new.example'] }).then(
          (id) => before.push(id),
          (error: unknown) => {
            full(error);
            refused++;
          },
        );
      }
      assert.ok(refused > 0, 'the space did run out');
      await assert.rejects(queue.write('nospace000000000', 0, Buffer.from('x')), full);
      const rows = await engine.admin.list({ limit: 1000 });
      assert.deepEqual(rows.map(({ id }) => id).toSorted(), before.toSorted(), 'exactly what was accepted is there');
      // Memory and table agree: all of it is leased, each once, and nothing else.
      const leases = await lease(queue, { limit: 1000, perLane: 1000 });
      assert.deepEqual(leases.map((held) => held.envelope.id).toSorted(), before.toSorted());
      for (const held of leases) await settle(queue, held);
      assert.equal((await engine.admin.counts()).messages, 0);
      space.free();
    });

    small('afterwards mail is taken again, and lanes that never came to be are not there', async (engine, space) => {
      const queue = engine.worker(1);
      space.fill();
      const big = 'x'.repeat(500_000);
      const results = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => accept(queue, { body: big, to: [`a@lane${i}.example`] })));
      const taken = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      assert.ok(taken.length < results.length);
      assert.equal((await engine.admin.lanes()).length, taken.length);
      space.free();
      for (;;) {
        const done = await accept(queue, { to: ['b@after.example'] }).then(
          () => true,
          (error: unknown) => !full(error),
        );
        if (done) break;
        await new Promise((resolve) => setTimeout(resolve, NEXT_TURN_MS));
      }
      assert.equal((await lease(queue, { limit: 1000, perLane: 1000 })).length, taken.length + 1);
    });
  });
}
