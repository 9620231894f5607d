// The ARC sets of a message: found, put in order, and their chain held to the rules before any key is asked for. RFC 8617 4, 5.2.

import type { SignedHeader } from '#mail/dkim/check.ts';
import { parseSignature } from '#mail/dkim/signature.ts';
import type { Signature } from '#mail/dkim/signature.ts';
import type { Field } from '#mail/headers.ts';

/** One set: what a host said of the message, its signature over the message, and its seal over the chain. */
export type ArcSet = {
  readonly instance: number;
  readonly results: Field;
  readonly message: Field;
  readonly messageSignature: Signature;
  readonly seal: Field;
  readonly sealSignature: Signature;
};

/** No chain at all; one in order, oldest first; or one that is broken, with the number of its sets as far as they say it. */
export type Chain =
  | { readonly status: 'none' }
  | { readonly status: 'sets'; readonly sets: readonly ArcSet[] }
  | { readonly status: 'fail'; readonly reason: string; readonly instance: number };

const MAX_SETS = 50;
const NAMES = ['arc-authentication-results', 'arc-message-signature', 'arc-seal'] as const;

/** Reads the chain. */
export function readChain(header: SignedHeader): Chain {
  const found = NAMES.map((name) => header.named(name));
  if (found.every((fields) => fields.length === 0)) return { status: 'none' };
  const count = Math.max(...found.map((fields) => fields.length));
  const fail = (reason: string): Chain => ({ status: 'fail', reason, instance: Math.min(count, MAX_SETS) });
  if (count > MAX_SETS) return fail(`there are more than ${MAX_SETS} sets`);
  const places = found.map((fields, kind) => placeFields(fields, kind === 0 ? resultsInstance : tagInstance));
  const sets: ArcSet[] = [];
  for (let instance = 1; instance <= count; instance++) {
    const [results, message, seal] = places.map((place) => place?.get(instance));
    if (results === undefined || message === undefined || seal === undefined) return fail(`set ${instance} is not complete, or a field of it comes twice`);
    const messageSignature = parseSignature(message.value(), 'arc-message');
    const sealSignature = parseSignature(seal.value(), 'arc-seal');
    if ('problem' in messageSignature) return fail(`the message signature of set ${instance} is not valid: ${messageSignature.problem}`);
    if ('problem' in sealSignature) return fail(`the seal of set ${instance} is not valid: ${sealSignature.problem}`);
    sets.push({ instance, results, message, messageSignature, seal, sealSignature });
  }
  return checkOrder(sets, fail);
}

/** The rules of `cv=` (RFC 8617 5.2 steps 2 and 3). */
function checkOrder(sets: readonly ArcSet[], fail: (reason: string) => Chain): Chain {
  const last = sets.at(-1);
  if (last?.sealSignature.chain === 'fail') return fail(`set ${last.instance} says that the chain was broken when it came (cv=fail)`);
  const wrong = sets.find(({ instance, sealSignature }) => sealSignature.chain !== (instance === 1 ? 'none' : 'pass'));
  if (wrong !== undefined) return fail(`cv=${wrong.sealSignature.chain} may not stand in set ${wrong.instance}`);
  return { status: 'sets', sets };
}

/** Fields by instance; null when two have the same one, or one has none. */
function placeFields(fields: readonly Field[], instanceOf: (value: string) => number | null): Map<number, Field> | null {
  const places = new Map<number, Field>();
  for (const field of fields) {
    const instance = instanceOf(field.value());
    if (instance === null || places.has(instance)) return null;
    places.set(instance, field);
  }
  return places;
}

/** `i=` comes first and ends in a semicolon (RFC 8617 4.1.1). */
function resultsInstance(value: string): number | null {
  return toInstance(/^\s*i\s*=\s*(\d{1,2})\s*;/.exec(value)?.[1]);
}

function tagInstance(value: string): number | null {
  return toInstance(/(?:^|;)\s*i\s*=\s*(\d{1,2})\s*(?:;|$)/.exec(value)?.[1]);
}

function toInstance(digits: string | undefined): number | null {
  const instance = digits === undefined || digits.startsWith('0') ? 0 : Number(digits);
  return instance >= 1 && instance <= MAX_SETS ? instance : null;
}
