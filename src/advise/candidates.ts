// Which ports come into question, the best first: what the server serves, in the order of the short answer. 25 is never among them.

import type { Library } from '#knowledge/libraries.ts';
import type { Question, ServedPort } from './question.ts';

const USUAL: readonly ServedPort[] = [
  { port: 587, tls: 'starttls' },
  { port: 465, tls: 'implicit' },
  { port: 2525, tls: 'starttls' },
];

/**
 * 587 comes first, other ports with STARTTLS are for networks that block it, then TLS from the first byte; where the library or the server
 * is made for that, it is the first. A locked-down cloud goes by 2525, whatever the library is made for.
 */
export function ordered(question: Question, library: Library): readonly ServedPort[] {
  const { provider, served, scenario } = question;
  const ports = (served ?? provider?.ports ?? USUAL).filter(({ port }) => port !== 25);
  const implicitFirst = scenario !== 'locked-cloud' && library.snippets.implicit !== null && (library.implicitFirst !== undefined || ports[0]?.tls === 'implicit');
  const kinds = implicitFirst ? ['465', '587', 'starttls', 'implicit'] : ['587', 'starttls', '465', 'implicit'];
  const rank = (one: ServedPort): number => kinds.indexOf(kindOf(one));
  return ports.toSorted((a, b) => rank(a) - rank(b));
}

/** What else would do: the assigned ports before those that go round a block. */
export function others(candidates: readonly ServedPort[], chosen: ServedPort | null): readonly ServedPort[] {
  const assigned = new Set(['587', '465']);
  return candidates.filter((one) => one !== chosen).toSorted((a, b) => Number(assigned.has(kindOf(b))) - Number(assigned.has(kindOf(a))));
}

/** Ports that stand for the usual ones where these are not to be had (10587) count as them. */
function kindOf({ port, tls }: ServedPort): string {
  if (tls === 'implicit') return port === 465 || port === 10_465 ? '465' : 'implicit';
  return port === 587 || port === 10_587 ? '587' : 'starttls';
}
