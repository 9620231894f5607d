// What is known of the MTA-STS policies of others: announced in the DNS, fetched when it is new, kept over restarts until its time is over.
// Owns when to look again; the store behind it only remembers. RFC 8461 3.3, 5.1, 10.2.

import type { Clock } from '#base/clock.ts';
import type { Log } from '#base/log.ts';
import type { Resolver } from '#dns/resolver.ts';
import { fetchStsPolicy } from './mta-sts-fetch.ts';
import type { StsFetchParts, StsFetched } from './mta-sts-fetch.ts';
import { readStsRecord } from './mta-sts-policy.ts';
import type { StsPolicy } from './mta-sts-policy.ts';
import type { StsEvidence, StsFailure } from './policy.ts';

/** A policy as it is kept. `failure`: what became of the last try to fetch it, if that went wrong. */
export type KnownSts = {
  readonly domain: string;
  readonly id: string;
  readonly policy: StsPolicy | null;
  readonly fetchedAtMs: number;
  readonly expiresAtMs: number;
  readonly failure: { readonly result: StsFailure; readonly why: string; readonly atMs: number; readonly id: string } | null;
};

/** Where policies are kept. Bounded by whoever keeps them. */
export type StsMemory = {
  read(domain: string): KnownSts | null;
  write(known: KnownSts): void;
  /** Policies that are used and were fetched before then. */
  older(thanMs: number, limit: number): readonly KnownSts[];
};

export type StsParts = StsFetchParts & { readonly memory: StsMemory; readonly resolver: Resolver; readonly clock: Clock; readonly log: Log };

export type MtaSts = {
  /** What the domain asks of its senders now. Never rejects; waits for a fetch when the policy is new, and only then. */
  evidence(domain: string): Promise<StsEvidence>;
  /** Fetches again what has grown old, so that it does not run out between two messages. Resolves to how many were looked at. */
  refresh(signal: AbortSignal): Promise<number>;
};

/** A policy this old is fetched again before it ends (RFC 8461 10.2 wants that often, at least daily). */
const REFRESH_AFTER_MS = 24 * 3_600_000;
/** After a failed fetch there is none for so long (RFC 8461 3.3: five minutes or more). */
const RETRY_AFTER_MS = 5 * 60_000;
const REFRESH_AT_ONCE = 4;
const REFRESH_LIMIT = 1000;
/** Policies that are fetched at once, and how many may wait their turn: a policy must not be done without because many are new. */
const FETCHES_AT_ONCE = 32;
const FETCHES_WAITING = 10_000;

export function openMtaSts(parts: StsParts): MtaSts {
  const { resolver, memory, clock, log } = parts;
  const fetching = new Map<string, Promise<KnownSts>>();
  const turns = openTurns();

  async function fetchNow(domain: string, id: string, before: KnownSts | null): Promise<KnownSts> {
    const nowMs = clock.nowMs();
    const kept: KnownSts = before ?? { domain, id: '', policy: null, fetchedAtMs: 0, expiresAtMs: 0, failure: null };
    const fetched: StsFetched = await turns.take(() => fetchStsPolicy(parts, domain), {
      result: 'sts-policy-fetch-error',
      why: `more than ${FETCHES_WAITING} policies wait to be fetched`,
    });
    const known: KnownSts =
      'policy' in fetched
        ? { domain, id, policy: fetched.policy, fetchedAtMs: nowMs, expiresAtMs: nowMs + fetched.policy.maxAgeSeconds * 1000, failure: null }
        : { ...kept, failure: { ...fetched, atMs: nowMs, id } };
    memory.write(known);
    if ('policy' in fetched) log.info('mta-sts.fetched', { domain, policyId: id, mode: fetched.policy.mode, mx: fetched.policy.mx, maxAgeSeconds: fetched.policy.maxAgeSeconds });
    else {
      log.warn('mta-sts.not-fetched', {
        domain,
        result: fetched.result,
        cause: fetched.why,
        fix: 'The domain has to serve its policy. Until then an older policy counts to its end; without one TLS is opportunistic.',
      });
    }
    return known;
  }

  /** One fetch at a time for a domain. */
  function fetchOnce(domain: string, id: string, before: KnownSts | null): Promise<KnownSts> {
    const running = fetching.get(domain);
    if (running !== undefined) return running;
    const fetched = fetchNow(domain, id, before).finally(() => fetching.delete(domain));
    fetching.set(domain, fetched);
    return fetched;
  }

  async function evidence(domain: string): Promise<StsEvidence> {
    const nowMs = clock.nowMs();
    const known = memory.read(domain);
    const announced = await announcement(resolver, domain);
    const valid = known !== null && known.policy !== null && known.expiresAtMs > nowMs;
    // Whoever hides the record must not get rid of the policy (5.1): it holds to its end.
    if (announced.id === null) return valid ? evidenceOf(known, announced.why) : { status: 'none', why: announced.why };
    if (valid && known.id === announced.id) return evidenceOf(known, null);
    const failedLately = known !== null && known.failure !== null && known.failure.id === announced.id && known.failure.atMs > nowMs - RETRY_AFTER_MS;
    const fresh = failedLately ? known : await fetchOnce(domain, announced.id, known);
    if (fresh.policy !== null && fresh.expiresAtMs > nowMs) return evidenceOf(fresh, fresh.failure?.why ?? null);
    return {
      status: 'failed',
      result: fresh.failure?.result ?? 'sts-policy-fetch-error',
      why: `${domain} announces an MTA-STS policy, but ${fresh.failure?.why ?? 'it has ended'}`,
    };
  }

  async function refreshOne(known: KnownSts): Promise<void> {
    const announced = await announcement(resolver, known.domain);
    // Not announced any more: it ends when its time is over.
    if (announced.id !== null) await fetchOnce(known.domain, announced.id, known);
  }

  return {
    evidence,
    async refresh(signal) {
      const old = [...memory.older(clock.nowMs() - REFRESH_AFTER_MS, REFRESH_LIMIT)];
      const total = old.length;
      const work = async (): Promise<void> => {
        for (let known = old.shift(); known !== undefined && !signal.aborted; known = old.shift()) await refreshOne(known);
      };
      await Promise.all(Array.from({ length: REFRESH_AT_ONCE }, work));
      return total;
    },
  };
}

/** Work in turn, so many at once; past the bound of those that wait the answer is `otherwise`. */
function openTurns(): { take<T>(work: () => Promise<T>, otherwise: T): Promise<T> } {
  const waiting: (() => void)[] = [];
  let running = 0;
  return {
    async take(work, otherwise) {
      if (running >= FETCHES_AT_ONCE) {
        if (waiting.length >= FETCHES_WAITING) return otherwise;
        // Whoever ends hands its place over: `running` does not change.
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else running++;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) running--;
        else next();
      }
    },
  };
}

async function announcement(resolver: Resolver, domain: string): Promise<ReturnType<typeof readStsRecord>> {
  const answer = await resolver.txt(`_mta-sts.${domain}`);
  if (answer.status === 'found') return readStsRecord(answer.records);
  return { id: null, why: answer.status === 'failed' ? `_mta-sts.${domain} cannot be looked up: ${answer.detail}` : `${domain} announces no MTA-STS policy` };
}

function evidenceOf(known: KnownSts, stale: string | null): StsEvidence {
  const { id, policy, fetchedAtMs, expiresAtMs } = known;
  if (policy === null) return { status: 'none', why: 'there is no MTA-STS policy' };
  return { status: 'policy', id, policy, fetchedAtMs, expiresAtMs, stale };
}
