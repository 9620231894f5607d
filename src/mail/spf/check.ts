// Whether a client may send for a domain: check_host() of SPF, with its bounds on look-ups. Knows no SMTP and applies no policy. RFC 7208 4, 5, 6.

import { isIPv4, isIPv6 } from 'node:net';
import { expandIpv6 } from '#dns/name.ts';
import type { DnsAnswer, Resolver } from '#dns/resolver.ts';
import type { MacroString, MacroValues } from './macro.ts';
import { expandMacros, expandName, parseMacros, usesLocal, usesName } from './macro.ts';
import { isSpfRecord, parseSpfRecord } from './record.ts';
import type { Directive, SpfRecord } from './record.ts';

export type SpfResultName = 'none' | 'neutral' | 'pass' | 'fail' | 'softfail' | 'temperror' | 'permerror';

/**
 * The result for a domain. `reason` is a phrase for people; `explain` asks for the domain's own explanation of a fail (RFC 7208 6.2). It is the
 * same for all of the domain's senders that come from this client with this HELO for `holdsSeconds`; 0 when it is not, or must be asked for again.
 */
export type SpfResult = { readonly result: SpfResultName; readonly domain: string; readonly reason: string; readonly holdsSeconds: number; explain(): Promise<string | null> };

export type SpfQuestion = {
  /** The client; IPv4 inside IPv6 counts as IPv4. */
  readonly address: string;
  /** MAIL FROM's domain, or HELO's name. */
  readonly domain: string;
  /** The local part of the sender; `postmaster` when there is none. */
  readonly local: string;
  readonly helo: string;
  /** This server's name, for explanations. */
  readonly hostname: string;
  readonly nowMs: number;
};

/** RFC 7208 4.6.4: terms that ask the DNS, answers without data, mail hosts of one `mx`, names of one client. */
const TERMS = 10;
const VOIDS = 2;
const HOSTS = 10;
const NAMES = 10;
const EXPLANATION_CHARACTERS = 300;
const LONGEST_SECONDS = 3600;

/** Asks whether the client may send for the domain. Never rejects; the number of questions is bounded, their time is the resolver's matter. */
export async function checkSpf(resolver: Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'ptr' | 'txt'>, question: SpfQuestion): Promise<SpfResult> {
  const address = unmapped(question.address);
  const check = new Check(resolver, { ...question, address });
  const outcome = await check.host(question.domain);
  return {
    ...reported(outcome),
    domain: question.domain,
    holdsSeconds: outcome.exp === null ? check.holdsSeconds : 0,
    explain: outcome.result === 'fail' && outcome.exp !== null ? () => check.explain(outcome) : nothing,
  };
}

async function nothing(): Promise<null> {
  return null;
}

type Outcome = { readonly result: SpfResultName; readonly reason: string; readonly domain: string; readonly exp: MacroString | null };

function reported({ result, reason }: Outcome): { result: SpfResultName; reason: string } {
  return { result, reason };
}

/** Thrown inside one evaluation only: what ends it at once. */
class Ends extends Error {
  readonly result: 'temperror' | 'permerror';
  constructor(result: 'temperror' | 'permerror', reason: string) {
    super(reason);
    this.result = result;
  }
}

class Check {
  readonly #resolver: Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'ptr' | 'txt'>;
  readonly #question: SpfQuestion;
  readonly #bytes: Buffer;
  #terms = 0;
  #voids = 0;
  /** The least TTL of all answers; 0 as soon as one failed or the sender's name was asked with. */
  #holdsSeconds = LONGEST_SECONDS;
  #names: Promise<readonly string[]> | null = null;

  constructor(resolver: Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'ptr' | 'txt'>, question: SpfQuestion) {
    this.#resolver = resolver;
    this.#question = question;
    this.#bytes = addressBytes(question.address);
  }

  get holdsSeconds(): number {
    return this.#holdsSeconds;
  }

  async #seen<T>(asked: Promise<DnsAnswer<T>>): Promise<DnsAnswer<T>> {
    const answer = await asked;
    this.#holdsSeconds = Math.min(this.#holdsSeconds, answer.status === 'failed' ? 0 : answer.ttlSeconds);
    return answer;
  }

  async host(domain: string): Promise<Outcome> {
    const none = (reason: string): Outcome => ({ result: 'none', reason, domain, exp: null });
    if (!isDomain(domain)) return none(`${JSON.stringify(domain.slice(0, 80))} is no domain name`);
    try {
      const record = await this.#record(domain);
      return record === null ? none(`${domain} publishes no SPF record`) : await this.#evaluate(record, domain);
    } catch (error) {
      if (!(error instanceof Ends)) throw error;
      return { result: error.result, reason: error.message, domain, exp: null };
    }
  }

  /** The domain's explanation, or null when it gives none that can be used (RFC 7208 6.2). */
  async explain({ domain, exp }: Outcome): Promise<string | null> {
    if (exp === null) return null;
    const answer = await this.#resolver.txt(expandName(exp, await this.#values(exp, domain)));
    if (answer.status !== 'found' || answer.records.length !== 1) return null;
    const text = answer.records[0] ?? '';
    const parts = parseMacros(text, { explanation: true });
    return parts === null ? null : expandMacros(parts, await this.#values(parts, domain)).slice(0, EXPLANATION_CHARACTERS);
  }

  async #record(domain: string): Promise<SpfRecord | null> {
    const answer = await this.#seen(this.#resolver.txt(domain));
    if (answer.status === 'failed' && answer.cause !== 'bad-name') throw new Ends('temperror', `the SPF record of ${domain} could not be looked up: ${answer.detail}`);
    const records = (answer.status === 'found' ? answer.records : []).filter(isSpfRecord);
    const [text] = records;
    if (text === undefined) return null;
    if (records.length > 1) throw new Ends('permerror', `${domain} publishes ${records.length} SPF records; only one may be there`);
    const record = parseSpfRecord(text);
    if ('problem' in record) throw new Ends('permerror', `the SPF record of ${domain} is not valid: ${record.problem}`);
    return record;
  }

  async #evaluate(record: SpfRecord, domain: string): Promise<Outcome> {
    const { address } = this.#question;
    for (const directive of record.directives) {
      if (!(await this.#matches(directive, domain))) continue;
      const { qualifier } = directive;
      return { result: qualifier, reason: `${address} matches "${directive.text}" of ${domain}`, domain, exp: record.exp };
    }
    if (record.redirect === null) return { result: 'neutral', reason: `${address} matches nothing in the record of ${domain}`, domain, exp: null };
    this.#count();
    const target = await this.#name(record.redirect, domain);
    const outcome = await this.host(target);
    return outcome.result === 'none' ? { ...outcome, result: 'permerror', reason: `"redirect=" of ${domain} leads to ${target}, which has no SPF record` } : outcome;
  }

  async #matches(directive: Directive, domain: string): Promise<boolean> {
    switch (directive.mechanism) {
      case 'all':
        return true;
      case 'ip4':
      case 'ip6':
        return this.#within(directive.address, directive.bits);
      case 'include':
        return this.#includes(directive.domain, domain);
      case 'a':
        this.#count();
        return this.#hostMatches(directive.domain === null ? domain : await this.#name(directive.domain, domain), directive);
      case 'mx':
        this.#count();
        return this.#mxMatches(directive.domain === null ? domain : await this.#name(directive.domain, domain), directive);
      case 'exists':
        this.#count();
        return (await this.#ask('A', await this.#name(directive.domain, domain))).length > 0;
      case 'ptr':
        this.#count();
        return this.#nameMatches(directive.domain === null ? domain : await this.#name(directive.domain, domain));
    }
  }

  async #includes(spec: MacroString, domain: string): Promise<boolean> {
    this.#count();
    const target = await this.#name(spec, domain);
    const { result, reason } = await this.host(target);
    if (result === 'temperror') throw new Ends('temperror', reason);
    if (result === 'permerror') throw new Ends('permerror', reason);
    if (result === 'none') throw new Ends('permerror', `"include:" of ${domain} leads to ${target}, which has no SPF record`);
    return result === 'pass';
  }

  async #hostMatches(host: string, bits: { readonly bits4: number; readonly bits6: number }): Promise<boolean> {
    const addresses = await this.#ask(this.#type(), host);
    return addresses.some((address) => this.#within(address, isIPv4(address) ? bits.bits4 : bits.bits6));
  }

  async #mxMatches(domain: string, bits: { readonly bits4: number; readonly bits6: number }): Promise<boolean> {
    const answer = await this.#seen(this.#resolver.mx(domain));
    const records = this.#records(answer, `MX ${domain}`);
    if (records.length === 0) this.#countVoid();
    if (records.length > HOSTS) throw new Ends('permerror', `${domain} has more than ${HOSTS} mail hosts`);
    for (const { exchange } of records) {
      if (await this.#hostMatches(exchange, bits)) return true;
    }
    return false;
  }

  async #nameMatches(target: string): Promise<boolean> {
    const wanted = target.toLowerCase();
    return (await this.#clientNames()).some((name) => name === wanted || name.endsWith(`.${wanted}`));
  }

  /** Names of the client that lead back to it; a name that cannot be looked up is none of them (RFC 7208 5.5). */
  #clientNames(): Promise<readonly string[]> {
    this.#names ??= (async () => {
      const { address } = this.#question;
      const answer = await this.#seen(this.#resolver.ptr(address));
      if (answer.status !== 'found') {
        if (answer.status !== 'failed') this.#countVoid();
        return [];
      }
      const valid: string[] = [];
      for (const name of answer.records.slice(0, NAMES)) {
        const back = await this.#seen(this.#type() === 'A' ? this.#resolver.a(name) : this.#resolver.aaaa(name));
        if (back.status === 'found' && back.records.some((one) => addressBytes(one).equals(this.#bytes))) valid.push(name.toLowerCase().replace(/\.$/, ''));
      }
      return valid;
    })();
    return this.#names;
  }

  async #name(spec: MacroString, domain: string): Promise<string> {
    return expandName(spec, await this.#values(spec, domain));
  }

  async #values(text: MacroString, domain: string): Promise<MacroValues> {
    const { address, local, domain: senderDomain, helo, hostname, nowMs } = this.#question;
    const v6 = isIPv6(address);
    if (usesLocal(text)) this.#holdsSeconds = 0;
    const names = usesName(text) ? await this.#clientNames() : [];
    const below = names.find((name) => name === domain) ?? names.find((name) => name.endsWith(`.${domain}`)) ?? names[0];
    return {
      s: `${local}@${senderDomain}`,
      l: local,
      o: senderDomain,
      d: domain,
      // Upper case, as the suite of RFC 7208 has it; the DNS does not mind.
      i: v6 ? [...this.#bytes.toString('hex').toUpperCase()].join('.') : address,
      v: v6 ? 'ip6' : 'in-addr',
      h: helo,
      p: below ?? 'unknown',
      c: address.toLowerCase(),
      r: hostname,
      t: String(Math.floor(nowMs / 1000)),
    };
  }

  #type(): 'A' | 'AAAA' {
    return this.#bytes.length === 16 ? 'AAAA' : 'A';
  }

  async #ask(type: 'A' | 'AAAA', name: string): Promise<readonly string[]> {
    const answer = await this.#seen(type === 'A' ? this.#resolver.a(name) : this.#resolver.aaaa(name));
    const records = this.#records(answer, `${type} ${name}`);
    // A host with IPv4 only is no sign of a broken record just because the client came by IPv6.
    if (records.length === 0 && (type === 'A' || answer.status === 'no-domain')) this.#countVoid();
    return records;
  }

  /** A name that cannot be one has no data; only what the DNS could not answer now is temporary. */
  #records<T>(answer: DnsAnswer<T>, what: string): readonly T[] {
    if (answer.status === 'failed' && answer.cause !== 'bad-name') throw new Ends('temperror', `${what} could not be looked up: ${answer.detail}`);
    return answer.status === 'found' ? answer.records : [];
  }

  #count(): void {
    if (++this.#terms > TERMS) throw new Ends('permerror', `the SPF record of ${this.#question.domain} needs more than ${TERMS} look-ups`);
  }

  #countVoid(): void {
    if (++this.#voids > VOIDS) throw new Ends('permerror', `the SPF record of ${this.#question.domain} asks more than ${VOIDS} times for what is not there`);
  }

  #within(network: string, bits: number): boolean {
    const other = addressBytes(network);
    if (other.length !== this.#bytes.length) return false;
    const whole = bits >> 3;
    const rest = bits & 7;
    if (other.compare(this.#bytes, 0, whole, 0, whole) !== 0) return false;
    return rest === 0 || (other.readUInt8(whole) ^ this.#bytes.readUInt8(whole)) >> (8 - rest) === 0;
  }
}

/** Labels of 1 to 63 octets, two at least (RFC 7208 4.3). Characters are the resolver's matter. */
function isDomain(domain: string): boolean {
  const labels = domain.split('.');
  return labels.length > 1 && domain.length <= 253 && labels.every((label) => label !== '' && label.length <= 63) && !domain.startsWith('[');
}

function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const groups = isIPv6(address) ? expandIpv6(address) : [];
  const bytes = Buffer.alloc(groups.length * 2);
  groups.forEach((group, i) => bytes.writeUInt16BE(group, i * 2));
  return bytes;
}

/** `::ffff:192.0.2.1` is 192.0.2.1 (RFC 7208 5). */
function unmapped(address: string): string {
  const bytes = addressBytes(address);
  const mapped = bytes.length === 16 && bytes.readUIntBE(0, 6) === 0 && bytes.readUIntBE(6, 4) === 0 && bytes.readUInt16BE(10) === 0xffff;
  return mapped ? [...bytes.subarray(12)].join('.') : address;
}
