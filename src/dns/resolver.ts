// The stub resolver as everyone sees it: answers with TTL and the AD flag, or the kind of failure. Validates names, remembers
// answers, asks each question once at a time, tries the servers in turn. RFC 1035, 6891, 4035 3.2.3, 9520.

import { getServers } from 'node:dns';
import { isIP } from 'node:net';
import type { Clock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import { interpret } from './answer.ts';
import type { DnsRecord, QueryType } from './answer.ts';
import { openCache } from './cache.ts';
import { exchange } from './exchange.ts';
import type { DnsServer } from './exchange.ts';
import { canonicalName, reverseName } from './name.ts';

/** `authenticated` is the AD flag of a resolver trusted for it. `owner` is the name that has the records: past its aliases the one asked for. */
export type DnsAnswer<T> =
  | { readonly status: 'found'; readonly records: readonly T[]; readonly authenticated: boolean; readonly ttlSeconds: number; readonly owner: string }
  | { readonly status: 'no-data' | 'no-domain'; readonly authenticated: boolean; readonly ttlSeconds: number }
  | { readonly status: 'failed'; readonly cause: 'timeout' | 'servfail' | 'refused' | 'malformed' | 'unreachable' | 'bad-name'; readonly detail: string };

export type MxRecord = { readonly preference: number; readonly exchange: string };
export type TlsaRecord = { readonly usage: number; readonly selector: number; readonly matchingType: number; readonly data: Buffer };

export type Resolver = {
  a(name: string): Promise<DnsAnswer<string>>;
  aaaa(name: string): Promise<DnsAnswer<string>>;
  mx(name: string): Promise<DnsAnswer<MxRecord>>;
  txt(name: string): Promise<DnsAnswer<string>>;
  cname(name: string): Promise<DnsAnswer<string>>;
  ptr(address: string): Promise<DnsAnswer<string>>;
  tlsa(name: string): Promise<DnsAnswer<TlsaRecord>>;
  close(): void;
};

export type ResolverOptions = {
  /** `ip`, `ip:port` or `[v6]:port`; none: those of the system. */
  readonly servers: readonly string[];
  readonly dnssec: 'trust-ad' | 'off';
  /** For one question, all tries together. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly cacheEntries?: number;
};

const DNS_PORT = 53;
const SERVERS = 3;
const ROUNDS = 3;
const CACHE_ENTRIES = 10_000;
const QUESTIONS_AT_ONCE = 256;
const QUESTIONS_WAITING = 10_000;
/** A failure is remembered for a moment, so that a backlog does not ask the same in vain (RFC 9520 3.2). */
const FAILURE_TTL_SECONDS = 5;

type Failed = Extract<DnsAnswer<never>, { status: 'failed' }>;

/** Opens a resolver; throws PosternError (exit code 2) for a server that is no IP address with port. */
export function openResolver(options: ResolverOptions): Resolver {
  const resolver = new StubResolver(options);
  const ask =
    <T extends DnsRecord>(type: QueryType) =>
    (name: string) =>
      resolver.ask(type, name) as Promise<DnsAnswer<T>>;
  return {
    a: ask('A'),
    aaaa: ask('AAAA'),
    mx: ask('MX'),
    txt: ask('TXT'),
    cname: ask('CNAME'),
    tlsa: ask('TLSA'),
    ptr: (address) => resolver.ask('PTR', reverseName(address) ?? '') as Promise<DnsAnswer<string>>,
    close: () => resolver.close(),
  };
}

class StubResolver {
  readonly #options: ResolverOptions;
  readonly #servers: readonly DnsServer[];
  readonly #cache: ReturnType<typeof openCache<DnsAnswer<DnsRecord>>>;
  readonly #asking = new Map<string, Promise<DnsAnswer<DnsRecord>>>();
  readonly #closed = new AbortController();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: ResolverOptions) {
    this.#options = options;
    const configured = options.servers.length > 0 ? options.servers : getServers();
    this.#servers = configured.slice(0, SERVERS).map(parseServer);
    this.#cache = openCache(options.clock, options.cacheEntries ?? CACHE_ENTRIES);
  }

  ask(type: QueryType, asked: string): Promise<DnsAnswer<DnsRecord>> {
    const name = canonicalName(asked);
    if (name === null) return Promise.resolve(failed('bad-name', `${JSON.stringify(asked.slice(0, 100))} is not a domain name`));
    const key = `${type} ${name}`;
    const cached = this.#cache.get(key);
    if (cached !== null) {
      const { value, ttlSeconds } = cached;
      return Promise.resolve(value.status === 'failed' ? value : { ...value, ttlSeconds });
    }
    const running = this.#asking.get(key);
    if (running !== undefined) return running;
    const answer = this.#admitted(type, name).then((result) => {
      this.#asking.delete(key);
      if (!this.#closed.signal.aborted) this.#cache.set(key, result, result.status === 'failed' ? FAILURE_TTL_SECONDS : result.ttlSeconds);
      return result;
    });
    this.#asking.set(key, answer);
    return answer;
  }

  close(): void {
    this.#closed.abort();
    this.#cache.clear();
    for (const start of this.#waiting.splice(0)) start();
  }

  /** Bounds the questions that are on the way: each has a socket. */
  async #admitted(type: QueryType, name: string): Promise<DnsAnswer<DnsRecord>> {
    if (this.#running >= QUESTIONS_AT_ONCE) {
      if (this.#waiting.length >= QUESTIONS_WAITING) return failed('timeout', `more than ${QUESTIONS_WAITING} questions wait for the resolver`);
      // Whoever finishes hands its place over: `#running` does not change.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running++;
    try {
      return await this.#tryServers(type, name);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  /**
   * The servers in turn, each up to three times with growing patience; one that answered with a failure is not asked again. With one
   * server a question of 7 s waits 1, 2 and 4 s.
   */
  async #tryServers(type: QueryType, name: string): Promise<DnsAnswer<DnsRecord>> {
    const { timeoutMs, clock } = this.#options;
    const deadlineMs = clock.nowMs() + timeoutMs;
    const unit = timeoutMs / ((2 ** ROUNDS - 1) * Math.max(this.#servers.length, 1));
    const left = new Set(this.#servers);
    let last: Failed = failed('unreachable', 'no DNS server is configured and the system names none');
    for (let round = 0; round < ROUNDS; round++) {
      for (const server of left) {
        const tryMs = Math.min(unit * 2 ** round, deadlineMs - clock.nowMs());
        if (tryMs <= 0 || this.#closed.signal.aborted) return last;
        const result = await this.#askServer(server, { type, name }, tryMs);
        if (result.status !== 'failed') return result;
        // A server that says it cannot is more telling than one that says nothing.
        if (last.cause !== 'servfail' && last.cause !== 'refused') last = result;
        if (result.cause !== 'timeout') left.delete(server);
      }
    }
    return last;
  }

  async #askServer(server: DnsServer, question: { type: QueryType; name: string }, timeoutMs: number): Promise<DnsAnswer<DnsRecord>> {
    const { clock, dnssec } = this.#options;
    const common = { server, ...question, timeoutMs, clock, signal: this.#closed.signal };
    let result = await exchange({ ...common, edns: true });
    // FORMERR or NOTIMP: a server from before EDNS (RFC 6891 7).
    if (result.kind === 'answer' && (result.rcode === 1 || result.rcode === 4)) result = await exchange({ ...common, edns: false });
    if (result.kind === 'failed') return failed(result.cause, result.detail);
    return interpret(result.packet, { ...question, rcode: result.rcode }, dnssec === 'trust-ad');
  }
}

function failed(cause: Failed['cause'], detail: string): Failed {
  return { status: 'failed', cause, detail };
}

/** `ip`, `ip:port`, `[v6]` or `[v6]:port`; throws PosternError for anything else. */
export function parseServer(text: string): DnsServer {
  const match = isIP(text) === 6 ? [text, text] : (/^\[([^\]]+)\](?::(\d{1,5}))?$/.exec(text) ?? /^([\d.]+)(?::(\d{1,5}))?$/.exec(text));
  const address = match?.[1] ?? '';
  const family = isIP(address);
  const port = match?.[2] === undefined ? DNS_PORT : Number(match[2]);
  if (family === 0 || port < 1 || port > 65535) {
    throw new PosternError(
      {
        code: 'bad-dns-server',
        cause: `"${text}" is not the address of a DNS server.`,
        fix: 'Write an IP address, with a port if it is not 53: "192.0.2.53", "192.0.2.53:5300" or "[2001:db8::53]:5300".',
      },
      { exitCode: 2 },
    );
  }
  return { address, family: family === 6 ? 6 : 4, port };
}
