// What one host of a site did not take for some trouble of its own, on its way to the next one in the same attempt. RFC 5321 5.1.

import type { Job } from './attempt.ts';
import type { Connected, Connector } from './connector.ts';
import type { HostAddress, HostMemory } from './hosts.ts';
import { mayGoElsewhere } from './outcome.ts';
import type { Verdict } from './settle.ts';

/** Hosts of the site that did not take a job, by their address, with what they said. */
export type Before = ReadonlyMap<string, { readonly host: HostAddress; readonly text: string }>;

export const NOWHERE: Before = new Map();

/** A job for another host; `verdicts` hold if there is none. */
export type Elsewhere = { readonly connector: Connector; readonly job: Job; readonly verdicts: readonly Verdict[]; readonly before: Before };

type Tried = { readonly connector: Connector; readonly job: Job; readonly connected: Connected; readonly before: Before; readonly verdicts: readonly Verdict[] };

/** What of these verdicts another host may change; null: nothing. A host that failed as such is avoided from now on. */
export function elsewhereOf({ connector, job, connected, before, verdicts }: Tried, hosts: HostMemory): Elsewhere | null {
  const at = addressOf(connected);
  if (!connector.several || at === null) return null;
  const going = verdicts.filter(({ outcome }) => mayGoElsewhere(outcome));
  const [first] = going;
  if (first === undefined) return null;
  if (first.outcome.scope === 'host') hosts.avoid(at, first.outcome.text);
  return {
    connector,
    job: { ...job, recipients: going.map(({ recipient }) => recipient) },
    verdicts: going,
    before: new Map([...before, [at.address, { host: at, text: first.outcome.text }]]),
  };
}

/** Where a connection goes; null for a Unix socket. */
export function addressOf({ host, address, port }: Connected): HostAddress | null {
  return address === null || port === null ? null : { host, address, port };
}
