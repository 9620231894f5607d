// A history made up: mail of some senders to many recipients with every kind of fate, as the outbox tells it. The same seed gives the same history, so that a
// test can say what a search must find. Used by tests for hundreds of messages and by the benchmark for a million.

import { openMessageIds } from '#base/id.ts';
import type { Envelope, Outcome, QueueEvent, Recipient } from '#queue/records.ts';
import { History } from '#store/history/writer.ts';
import { toldFrom } from '#store/told.ts';

export type Told = { readonly envelope: Envelope; readonly to: readonly string[]; readonly status: string; readonly events: readonly object[] };

const WORDS = 'invoice receipt welcome password reset report weekly order shipped café größe delayed update security alert newsletter account payment failed reminder'.split(' ');
const HOSTS = ['gmail-smtp-in.l.google.com', 'contoso-com.mail.protection.outlook.com', 'mx-aol.mail.gm0.yahoodns.net', 'mx01.mail.icloud.com', 'mx.example.net'];
const PROFILES = ['submission', 'submissions', 'alternate', 'mx'] as const;

/** Numbers from 0 to 1, the same for the same seed. */
function openRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
}

export type HistoryPlan = { readonly messages: number; readonly fromMs: number; readonly toMs: number; readonly seed?: number; readonly recipients?: number };

/** One message after the other, oldest first. */
export function* tellHistory({ messages, fromMs, toMs, seed = 1, recipients = 20_000 }: HistoryPlan): Generator<Told> {
  const random = openRandom(seed);
  const newId = openMessageIds();
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  for (let i = 0; i < messages; i++) {
    const acceptedAtMs = Math.round(fromMs + ((toMs - fromMs) * i) / messages);
    const profile = pick(PROFILES);
    const sender = `app${Math.floor(random() * 40)}`;
    const from = address(`${sender}@sender${Math.floor(random() * 8)}.example`);
    const to = Array.from({ length: random() < 0.05 ? 3 : 1 }, () => {
      const number = Math.floor(random() * recipients);
      return address(`user${number}@domain${number % 300}.test`);
    });
    const fate = random();
    const status = fate < 0.93 ? 'delivered' : fate < 0.96 ? 'bounced' : fate < 0.97 ? 'deferred' : fate < 0.98 ? 'expired' : 'captured';
    const envelope: Envelope = {
      id: newId(acceptedAtMs),
      from,
      acceptedAtMs,
      expiresAtMs: acceptedAtMs + 4 * 86_400_000,
      warnAtMs: acceptedAtMs + 14_400_000,
      sizeBytes: 2000 + Math.floor(random() * 50_000),
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      ret: null,
      envid: null,
      kind: 'mail',
      mode: status === 'captured' ? 'sandbox' : 'live',
      origin: {
        profile,
        clientAddress: '192.0.2.7',
        helo: profile === 'mx' ? 'mail-wr1-f41.google.com' : 'app.internal',
        tls: profile === 'mx' && random() < 0.1 ? null : 'TLSv1.3 TLS_AES_256_GCM_SHA384',
        credential: profile === 'mx' ? null : sender,
        ...(sender === 'app3' || sender === 'app4' ? { project: 'shop' } : {}),
      },
      subject: `${pick(WORDS)} ${pick(WORDS)} number ${i}`,
      messageIdHeader: `<${i}.${acceptedAtMs}@sender.example>`,
    };
    yield { envelope, to: to.map(({ text }) => text), status, events: [accepted(envelope, to), ...to.map((_, n) => ended(envelope, n, { status, random }))] };
  }
}

function address(text: string): { local: string; domain: string; text: string } {
  const [local = '', domain = ''] = text.split('@');
  return { local, domain, text };
}

function accepted(envelope: Envelope, to: readonly Recipient['address'][]): object {
  return {
    type: 'accepted',
    atMs: envelope.acceptedAtMs,
    id: envelope.id,
    envelope,
    recipients: to.map((one, n) => ({ n, address: one, notify: null, orcpt: null })),
  };
}

function ended(envelope: Envelope, n: number, { status, random }: { status: string; random: () => number }): object {
  const tookMs = Math.round(20 + 2000 * random() ** 4);
  const host = HOSTS[Math.floor(random() * HOSTS.length)] ?? '';
  const good = status === 'delivered' || status === 'captured';
  const outcome: Outcome = {
    verdict: status as Outcome['verdict'],
    scope: 'recipient',
    code: good ? 250 : status === 'bounced' ? 550 : 451,
    enhanced: good ? '2.0.0' : status === 'bounced' ? '5.1.1' : '4.7.1',
    text: good ? '2.0.0 OK queued as 8D2F1A0C' : 'The email account that you tried to reach does not exist, or is not to be reached at present',
    class: good ? status : status === 'bounced' ? 'no-such-mailbox' : 'greylisted',
    cause: good ? '' : 'The receiver does not take mail for this address now.',
    fix: good ? '' : 'Check the address.',
    route: status === 'captured' ? 'capture' : 'mx',
    remoteHost: status === 'captured' ? null : host,
    remoteAddress: status === 'captured' ? null : '198.51.100.3',
    remotePort: status === 'captured' ? null : 25,
    tls: status === 'captured' ? null : random() < 0.95 ? 'TLSv1.3 TLS_AES_256_GCM_SHA384 unverified' : 'none',
    possibleDuplicate: false,
    startedAtMs: envelope.acceptedAtMs + 5,
    durationMs: tookMs,
  };
  const atMs = envelope.acceptedAtMs + 5 + tookMs;
  return { type: status, atMs, id: envelope.id, n, nextAtMs: status === 'deferred' ? atMs + 60_000 : null, outcome };
}

/** Writes what happened into the history of a data directory that no server uses, through the history's own writer: rows of the outbox of `batch` messages each. */
export function writeHistory(path: string, told: Iterable<Told>, options: { readonly batch?: number } = {}): void {
  const { batch = 50 } = options;
  const history = new History(path);
  let waiting: QueueEvent[] = [];
  let messages = 0;
  const flush = (): void => {
    const last = waiting.at(-1);
    if (last === undefined) return;
    history.fold([{ seq: history.cursor + 1, atMs: last.atMs, changes: waiting.map(toldFrom) }], waiting.length);
    waiting = [];
  };
  for (const { events } of told) {
    waiting.push(...(events as QueueEvent[]));
    if (++messages % batch === 0) flush();
  }
  flush();
  history.writeCounts();
  history.close();
}
