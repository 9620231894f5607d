// An SPF record walked through as a whole: every look-up that a receiver may have to make, counted, with the chain that leads to it. What a
// single client gets is another question (spf/check.ts). RFC 7208 4.6.4.

import type { Resolver } from '#dns/resolver.ts';
import { expandName } from '#mail/spf/macro.ts';
import type { MacroString } from '#mail/spf/macro.ts';
import { isSpfRecord, parseSpfRecord } from '#mail/spf/record.ts';
import type { Directive } from '#mail/spf/record.ts';

export type SpfWalk = {
  /** Terms that ask the DNS; a receiver stops with an error past ten. */
  readonly lookups: number;
  /** Look-ups that found nothing; a receiver stops past two. */
  readonly voids: number;
  /** One line a term, indented by depth: `include:_spf.example.net`, with what is wrong with it. */
  readonly chain: readonly string[];
  /** What ends in an error for every receiver. */
  readonly problems: readonly string[];
  /** It was longer than is walked. */
  readonly cut: boolean;
};

/** RFC 7208 4.6.4. */
export const SPF_LOOKUPS = 10;
export const SPF_VOIDS = 2;

/** More is walked than is allowed, so that the chain shows what to take out, but not without end. */
const MAX_TERMS = 60;
const MAX_DEPTH = 10;

type State = { lookups: number; voids: number; readonly chain: string[]; readonly problems: string[]; cut: boolean };
type Walker = { readonly resolver: Pick<Resolver, 'a' | 'aaaa' | 'mx' | 'txt'>; readonly state: State };

/** `record` is the text of the record at `domain`. */
export async function walkSpf(resolver: Walker['resolver'], domain: string, record: string): Promise<SpfWalk> {
  const state: State = { lookups: 0, voids: 0, chain: [], problems: [], cut: false };
  await walkRecord({ resolver, state }, { domain, text: record, depth: 0 });
  return state;
}

async function walkRecord(walker: Walker, at: { domain: string; text: string; depth: number }): Promise<void> {
  const { state } = walker;
  const record = parseSpfRecord(at.text);
  if ('problem' in record) {
    state.problems.push(`the record of ${at.domain} is not valid: ${record.problem}`);
    return;
  }
  for (const directive of record.directives) await walkDirective(walker, directive, at);
  if (record.redirect !== null && !record.directives.some((directive) => directive.mechanism === 'all')) {
    await walkInto(walker, 'redirect=', record.redirect, at);
  }
}

async function walkDirective(walker: Walker, directive: Directive, at: { domain: string; depth: number }): Promise<void> {
  const { state, resolver } = walker;
  switch (directive.mechanism) {
    case 'all':
    case 'ip4':
    case 'ip6':
      return;
    case 'include':
      return walkInto(walker, 'include:', directive.domain, at);
    case 'exists':
    case 'ptr':
      return note(state, at.depth, `${directive.text}${directive.mechanism === 'ptr' ? ' (slow, and not to be used: RFC 7208 5.5)' : ''}`);
    case 'a':
    case 'mx': {
      const name = directive.domain === null ? at.domain : plain(directive.domain, at.domain);
      note(state, at.depth, directive.text);
      if (name === null || state.cut) return;
      const answers = directive.mechanism === 'mx' ? [await resolver.mx(name)] : await Promise.all([resolver.a(name), resolver.aaaa(name)]);
      if (answers.every((answer) => answer.status === 'no-data' || answer.status === 'no-domain')) nothing(state, `${directive.text} finds nothing`);
    }
  }
}

async function walkInto(walker: Walker, word: string, target: MacroString, at: { domain: string; depth: number }): Promise<void> {
  const { state, resolver } = walker;
  const name = plain(target, at.domain);
  if (name === null) return note(state, at.depth, `${word}... (with macros: what it leads to depends on the sender)`);
  note(state, at.depth, `${word}${name}`);
  if (state.cut) return;
  if (at.depth >= MAX_DEPTH) {
    state.cut = true;
    return;
  }
  const answer = await resolver.txt(name);
  if (answer.status === 'failed') return void state.problems.push(`${word}${name} could not be looked up: ${answer.detail}`);
  const records = answer.status === 'found' ? answer.records.filter(isSpfRecord) : [];
  if (answer.status !== 'found') nothing(state, `${word}${name} finds nothing`);
  if (records.length !== 1) {
    state.problems.push(`${word}${name} leads to ${records.length === 0 ? 'no SPF record' : `${records.length} SPF records`}, which is an error for every receiver`);
    return;
  }
  await walkRecord(walker, { domain: name, text: records[0] ?? '', depth: at.depth + 1 });
}

/** The name, when it is the same for every sender: macros that tell the domain are filled in, others lead elsewhere for each client. */
function plain(target: MacroString, domain: string): string | null {
  const nameFor = (x: string): string => expandName(target, { s: `${x}@${x}.test`, l: x, o: `${x}.test`, d: domain, i: x, v: 'in-addr', h: x, p: x, c: x, r: x, t: x });
  return nameFor('a') === nameFor('b') ? nameFor('a').toLowerCase() : null;
}

function note(state: State, depth: number, text: string): void {
  if (state.chain.length >= MAX_TERMS) {
    state.cut = true;
    return;
  }
  state.lookups++;
  state.chain.push(`${'  '.repeat(depth)}${text}`);
}

function nothing(state: State, text: string): void {
  state.voids++;
  state.chain.push(`${' '.repeat(4)}^ ${text}`);
}
