// The judgement on a message that comes by port 25: SPF as soon as it begins, DKIM and ARC as its content passes, DMARC at its end; then what
// is done with it and what is written on top of it. Keeps nothing of the body. RFC 7208, 6376, 8617, 9989, 8601.

import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { MaybePromise } from '#base/promise.ts';
import { boundResolver } from '#dns/bounded.ts';
import type { BoundedResolver } from '#dns/bounded.ts';
import { openCache } from '#dns/cache.ts';
import type { Cache } from '#dns/cache.ts';
import type { Resolver } from '#dns/resolver.ts';
import { readChain } from '#mail/arc/chain.ts';
import type { Chain } from '#mail/arc/chain.ts';
import { sealMessage } from '#mail/arc/seal.ts';
import { beginArc } from '#mail/arc/verify.ts';
import type { ArcVerdict } from '#mail/arc/verify.ts';
import { claimsToBe, formatAuthenticationResults, resultTokens } from '#mail/authentication.ts';
import type { Authentication } from '#mail/authentication.ts';
import { BodyHashes, SignedHeader } from '#mail/dkim/check.ts';
import { openKeyCache, openKeys } from '#mail/dkim/key.ts';
import type { KeyCache } from '#mail/dkim/key.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import type { Pen } from '#mail/dkim/pen.ts';
import { beginDkim } from '#mail/dkim/verify.ts';
import type { DkimVerdict } from '#mail/dkim/verify.ts';
import { beginDmarc } from '#mail/dmarc/evaluate.ts';
import type { Author, DmarcVerdict, Identifier } from '#mail/dmarc/evaluate.ts';
import type { DmarcRecord } from '#mail/dmarc/record.ts';
import type { DmarcRecords } from '#mail/dmarc/tree.ts';
import { foldHeader, parseHeaders, removeFields } from '#mail/headers.ts';
import type { Field } from '#mail/headers.ts';
import { checkSpf } from '#mail/spf/check.ts';
import type { SpfResult } from '#mail/spf/check.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { Reply } from '#smtp/reply.ts';
import { REPLIES } from '#smtp/reply.ts';
import { dispositionOf } from './disposition.ts';
import type { Disposition, DmarcMode } from './disposition.ts';

export type InspectorParts = {
  readonly hostname: string;
  readonly resolver: Resolver;
  readonly clock: Clock;
  /** Read anew for each message, so that a reload takes effect. */
  readonly settings: () => { readonly dmarc: DmarcMode; readonly dnsTimeoutMs: number; readonly trustedSealers: readonly string[] };
  readonly isTrusted: (clientAddress: string) => boolean;
  /** Computes seals. */
  readonly pen: Pen;
  readonly log: Log;
};

/** Who brings the message, and for whom. */
export type Arrival = {
  readonly clientAddress: string;
  readonly helo: string;
  readonly from: ReversePath;
  readonly recipients: readonly Address[];
  /** All recipients are addresses that only an answer to mail of ours can know: it is judged, but not refused for that. */
  readonly proved?: boolean;
  /** The domains of ours in whose name the message would leave for another site. */
  readonly inNameOf?: readonly string[];
  /** The message leaves for another site, and this key seals it. */
  readonly sealAs?: SigningKey | null;
};

/** What came of it: a refusal, or the fields to put on top. `authentication` is null for clients that are not judged. */
export type Inspected = {
  readonly refusal: Reply | null;
  readonly fields: string;
  readonly authentication: Authentication | null;
  /** Whoever it leaves for is to see its own sender: in our name an author would pass that nobody has proved. */
  readonly ownSender: boolean;
};

export type Inspection = {
  /** The header, once it is complete, and who stands in its From. */
  header(head: Buffer, fields: readonly Field[], author: Author): void;
  body(chunk: Buffer): void;
  /** The content has ended; never rejects. */
  finish(): Promise<Inspected>;
  /** The message is given up. */
  abort(): void;
};

export type Inspector = { begin(arrival: Arrival): Inspection };

const QUESTIONS = 300;
/** What is kept of the DNS by the worker, made ready: SPF results by client and domain, DMARC records by domain. */
const KEPT = 5000;
const QUARANTINE_FIELD = 'X-Postern-Quarantine';

/** Fields that only this host may write: what came in with them is not passed on. */
export function isForged(hostname: string, field: Field): boolean {
  return field.name === QUARANTINE_FIELD.toLowerCase() || claimsToBe(hostname, field);
}

export function openInspector(parts: InspectorParts): Inspector {
  const { clock } = parts;
  const kept = { keys: openKeyCache(), spf: openCache<SpfResult>(clock, KEPT), records: openCache<DmarcRecord | null>(clock, KEPT) };
  return {
    begin: (arrival) => (parts.isTrusted(arrival.clientAddress) ? notInspected(parts.hostname) : new Judgement(parts, kept, arrival)),
  };
}

function notInspected(hostname: string): Inspection {
  return {
    header() {},
    body() {},
    finish: () => Promise.resolve({ refusal: null, fields: formatAuthenticationResults(hostname, null), authentication: null, ownSender: false }),
    abort() {},
  };
}

type Checks = {
  readonly header: SignedHeader;
  readonly fields: readonly Field[];
  readonly chain: Chain;
  readonly dkim: () => Promise<DkimVerdict[]>;
  readonly arc: () => Promise<ArcVerdict>;
  readonly dmarc: (found: readonly Identifier[]) => Promise<DmarcVerdict>;
};

type Kept = { readonly keys: KeyCache; readonly spf: Cache<SpfResult>; readonly records: DmarcRecords };

class Judgement implements Inspection {
  readonly #parts: InspectorParts;
  readonly #kept: Kept;
  readonly #arrival: Arrival;
  readonly #resolver: BoundedResolver;
  readonly #spf: MaybePromise<SpfResult>;
  readonly #body = new BodyHashes();
  #checks: Checks | null = null;
  #anonymous = true;

  constructor(parts: InspectorParts, kept: Kept, arrival: Arrival) {
    const { resolver, clock } = parts;
    this.#parts = parts;
    this.#kept = kept;
    this.#arrival = arrival;
    this.#resolver = boundResolver(resolver, { clock, withinMs: parts.settings().dnsTimeoutMs, questions: QUESTIONS });
    this.#spf = this.#checkSpf();
  }

  #checkSpf(): MaybePromise<SpfResult> {
    const { from, helo, clientAddress } = this.#arrival;
    const { hostname, clock } = this.#parts;
    const { spf } = this.#kept;
    // Without a sender the client's own name stands for it (RFC 7208 2.4).
    const domain = from?.domain ?? helo.toLowerCase();
    const name = `${clientAddress}\n${domain}\n${helo}`;
    const known = spf.get(name);
    if (known !== null) return known.value;
    const question = { address: clientAddress, domain, local: from?.local ?? 'postmaster', helo, hostname, nowMs: clock.nowMs() };
    return checkSpf(this.#resolver, question).then((result) => {
      if (result.holdsSeconds > 0) spf.set(name, result, result.holdsSeconds);
      return result;
    });
  }

  header(head: Buffer, fields: readonly Field[], author: Author): void {
    this.#anonymous = author.domains.length === 0;
    const header = new SignedHeader(head, fields);
    const chain = readChain(header);
    const common = { keys: openKeys(this.#resolver, this.#kept.keys), header, body: this.#body, nowMs: this.#parts.clock.nowMs() };
    if (this.#seals) this.#body.want('relaxed');
    this.#checks = {
      header,
      fields,
      chain,
      dkim: beginDkim(common),
      arc: beginArc(common, chain),
      dmarc: beginDmarc(this.#resolver, author, this.#kept.records),
    };
  }

  body(chunk: Buffer): void {
    this.#body.update(chunk);
  }

  async finish(): Promise<Inspected> {
    const checks = this.#checks;
    if (checks === null) throw new Error('the header never came');
    try {
      const [spf, dkim, arc] = await Promise.all([this.#spf, checks.dkim(), checks.arc()]);
      const dmarc = await checks.dmarc(identifiersOf(spf, dkim));
      const { dmarc: mode, trustedSealers } = this.#parts.settings();
      const judged = dispositionOf({
        mode,
        proved: this.#arrival.proved ?? false,
        dmarc,
        arc,
        list: signingList(checks.fields, dkim),
        trustedSealers,
        recipients: this.#arrival.recipients,
        anonymous: this.#anonymous,
      });
      const borrowed = borrowedName(dmarc, this.#arrival.inNameOf ?? []);
      const unlent = judged.what === 'accepted' || judged.what === 'quarantined' ? this.#lending(borrowed, dmarc) : null;
      const disposition: Disposition = unlent === null ? judged : { what: unlent.code < 500 ? 'deferred' : 'rejected', why: unlent.lines[0] ?? '' };
      const authentication = this.#record({ spf, dkim, arc, dmarc }, disposition);
      const refusal = unlent ?? (await this.#refusal(authentication, spf));
      const seal = refusal === null ? await this.#seal(checks, authentication) : '';
      return { refusal, fields: seal + this.#fields(authentication), authentication, ownSender: borrowed !== null };
    } finally {
      this.#resolver.end();
    }
  }

  abort(): void {
    this.#resolver.end();
  }

  #record(found: { spf: SpfResult; dkim: DkimVerdict[]; arc: ArcVerdict; dmarc: DmarcVerdict }, { what, why }: Disposition): Authentication {
    const { spf, dkim, arc, dmarc } = found;
    return {
      spf: { result: spf.result, identity: this.#arrival.from === null ? 'helo' : 'mailfrom', domain: spf.domain, reason: spf.reason },
      dkim,
      dmarc,
      arc: { result: arc.result, instance: arc.instance, sealer: arc.sealers.at(-1) ?? null, reason: arc.reason },
      disposition: what,
      why,
    };
  }

  #fields(authentication: Authentication): string {
    const results = formatAuthenticationResults(this.#parts.hostname, authentication);
    if (authentication.disposition !== 'quarantined') return results;
    const { dmarc, why } = authentication;
    return foldHeader(QUARANTINE_FIELD, [`dmarc=${dmarc.result};`, `policy=${dmarc.policy ?? 'none'};`, ...why.replace(/[^\x20-\x7e]+/g, '?').split(' ')]) + results;
  }

  get #seals(): boolean {
    return (this.#arrival.sealAs ?? null) !== null;
  }

  /** A message that cannot be sealed goes without: the seal is a help for others, not a promise of ours. */
  async #seal({ header, fields, chain }: Checks, authentication: Authentication): Promise<string> {
    const { hostname, clock, pen, log } = this.#parts;
    const key = this.#arrival.sealAs ?? null;
    if (key === null || chain.status === 'fail' || authentication.arc.result === 'fail') return '';
    const results = resultTokens(authentication);
    const bodyHash = this.#body.result('relaxed').hash;
    try {
      return (await sealMessage({ key, hostname, results, chain, header, fields, bodyHash, nowMs: clock.nowMs() }, pen)) ?? '';
    } catch (error) {
      log.warn('arc.not-sealed', { domain: key.domain, selector: key.selector, cause: errorText(error) });
      return '';
    }
  }

  /** The sender itself claims to be of ours: with it, too, the message would pass at the next host, because it comes from us. */
  #lending(borrowed: string | null, { result, reason }: DmarcVerdict): Reply | null {
    const { from, inNameOf = [] } = this.#arrival;
    if (borrowed === null || from === null || !inNameOf.includes(from.domain)) return null;
    return result === 'temperror' ? REPLIES.dmarcUnknown(borrowed, reason) : REPLIES.notPassedOn(borrowed);
  }

  async #refusal({ disposition, dmarc }: Authentication, spf: SpfResult): Promise<Reply | null> {
    const { domain, reason } = dmarc;
    if (disposition === 'deferred') return REPLIES.dmarcUnknown(domain ?? '', reason);
    if (disposition !== 'rejected') return null;
    return domain === null || dmarc.result === 'permerror' ? REPLIES.fromRefused(reason) : REPLIES.dmarcRefused(domain, reason, await spf.explain());
  }
}

/** What authenticated the message, and what might have if the DNS had answered. */
function identifiersOf(spf: SpfResult, dkim: readonly DkimVerdict[]): Identifier[] {
  const found: Identifier[] = [];
  for (const { result, domain } of dkim) {
    if (domain !== null && (result === 'pass' || result === 'temperror')) found.push({ by: 'dkim', domain, certain: result === 'pass' });
  }
  if (spf.result === 'pass' || spf.result === 'temperror') found.push({ by: 'spf', domain: spf.domain, certain: spf.result === 'pass' });
  return found;
}

/** What SPF, DKIM, DMARC and ARC said, for the log. */
export function judgementFields({ spf, dkim, dmarc, arc, disposition, why }: Authentication) {
  return {
    author: dmarc.domain,
    spf: spf.result,
    dkim: dkim.map((one) => `${one.domain ?? '?'}=${one.result}`).join(' ') || 'none',
    dmarc: dmarc.result,
    policy: dmarc.policy,
    arc: arc.result,
    disposition,
    cause: why === '' ? undefined : why,
  };
}

/** The header without fields that pretend to be this host's (RFC 8601 5); almost always there are none. */
export function withoutForged(hostname: string, head: Buffer, fields: readonly Field[]): { readonly head: Buffer; readonly fields: readonly Field[] } {
  if (!fields.some((field) => isForged(hostname, field))) return { head, fields };
  const kept = Buffer.concat(removeFields(head, fields, (field) => isForged(hostname, field)));
  return { head: kept, fields: parseHeaders(kept).fields };
}

/** The domain of the list that the message went through, if a signature of that domain is good. */
function signingList(fields: readonly Field[], dkim: readonly DkimVerdict[]): string | null {
  const value =
    fields
      .find((field) => field.name === 'list-id')
      ?.value()
      .trimEnd() ?? '';
  if (!value.endsWith('>')) return null;
  const id = value.slice(value.lastIndexOf('<') + 1, -1).toLowerCase();
  const signed = dkim.find(({ result, domain }) => result === 'pass' && domain !== null && (id === domain || id.endsWith(`.${domain}`)));
  return signed?.domain ?? null;
}

/**
 * The author's domain, when nothing authenticates it and one of these names would: SPF passes for the name at the next host, and the name belongs to
 * the author's organization.
 */
function borrowedName({ result, domain, policyDomain }: DmarcVerdict, names: readonly string[]): string | null {
  if (domain === null || result === 'pass' || result === 'none') return null;
  const organization = policyDomain ?? domain;
  const related = (name: string): boolean => name === organization || name.endsWith(`.${organization}`) || organization.endsWith(`.${name}`);
  return names.some(related) ? domain : null;
}
