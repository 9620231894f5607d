// What the connections of a sink share: its settings, what it remembers (who was greylisted, how many messages came in the last minute), chance,
// and the counts for the summary. Everything that grows has a limit.

import { timingSafeEqual } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import type { Behaviour } from './behaviour.ts';
import type { Emit } from './events.ts';
import type { Mailbag } from './mailbag.ts';

export type Login = { readonly username: string; readonly password: string };

export type Settings = {
  readonly hostname: string;
  readonly protocol: 'smtp' | 'lmtp';
  readonly tls: 'starttls' | 'implicit' | 'none';
  readonly behaviour: Behaviour;
  /** AUTH is offered and asked for. `login`: the only one that is taken; null: any. */
  readonly auth: boolean;
  readonly login: Login | null;
  readonly sizeBytes: number;
  readonly recipients: number;
  readonly timeoutMs: number;
  readonly mailbag: Mailbag | null;
  readonly transcript: boolean;
  readonly seed: number;
  readonly clock: Clock;
  readonly emit: Emit;
};

export type Counts = {
  connections: number;
  secured: number;
  tlsFailed: number;
  messages: number;
  recipients: number;
  bytes: number;
  logins: number;
  loginsInClear: number;
  /** Replies of 400 and over, by code and step. */
  readonly refused: Map<string, number>;
  readonly acted: Map<string, number>;
};

const MAX_REMEMBERED = 100_000;
const MINUTE_MS = 60_000;

export class World {
  readonly settings: Settings;
  readonly context: SecureContext;
  readonly counts: Counts = {
    connections: 0,
    secured: 0,
    tlsFailed: 0,
    messages: 0,
    recipients: 0,
    bytes: 0,
    logins: 0,
    loginsInClear: 0,
    refused: new Map(),
    acted: new Map(),
  };
  /** Connections that were let in and are open. */
  admitted = 0;
  readonly #seen = new Map<string, number>();
  #recentMs: number[] = [];
  #random: number;

  constructor(settings: Settings, context: SecureContext) {
    this.settings = settings;
    this.context = context;
    this.#random = settings.seed >>> 0;
  }

  /** True when this was first seen less than `ms` ago. */
  isNew(key: string, ms: number): boolean {
    const nowMs = this.settings.clock.nowMs();
    const first = this.#seen.get(key);
    if (first !== undefined) return nowMs - first < ms;
    const oldest = this.#seen.size >= MAX_REMEMBERED ? this.#seen.keys().next().value : undefined;
    if (oldest !== undefined) this.#seen.delete(oldest);
    this.#seen.set(key, nowMs);
    return true;
  }

  /** Counts one message begun; true when there were more than so many in the last minute. */
  overRate(perMinute: number): boolean {
    const nowMs = this.settings.clock.nowMs();
    this.#recentMs = this.#recentMs.filter((ms) => nowMs - ms < MINUTE_MS);
    if (this.#recentMs.length >= perMinute) return true;
    this.#recentMs.push(nowMs);
    return false;
  }

  /** 0 up to 1. The same seed gives the same numbers (mulberry32). */
  chance(): number {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0;
    let mixed = this.#random;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  }

  nextMessageId(): string {
    const stamp = new Date(this.settings.clock.nowMs()).toISOString().replace(/[-:.Z]/g, '');
    return `${stamp}-${String(++this.#messages).padStart(6, '0')}`;
  }
  #messages = 0;

  isRightLogin(username: string, password: string): boolean {
    const { login } = this.settings;
    return login === null || (same(login.username, username) && same(login.password, password));
  }
}

export function tally(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function same(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
