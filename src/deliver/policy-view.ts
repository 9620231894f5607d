// What would be required of each mail host of a domain, and the evidence for it, looked up now. Says what delivery would do; connects to no
// mail host.

import type { LaneName } from '#queue/records.ts';
import type { DaneEvidence } from '#tls/dane.ts';
import { decide } from '#tls/policy.ts';
import type { ConfiguredPolicy, Demand, StsEvidence } from '#tls/policy.ts';
import { formatTlsa } from '#tls/tlsa.ts';
import type { Refusal } from './connector.ts';
import type { Route } from './route.ts';
import { laneOf, lookInto } from './routes/mx.ts';
import type { LookParts } from './routes/mx-hosts.ts';
import { explainRefusal } from './security-text.ts';

export type HostView = {
  readonly host: string;
  readonly preference: number;
  readonly policy: string;
  readonly why: string;
  /** null: the host would not be used; `refused` says why. */
  readonly required: string | null;
  /** Names of which a certificate must have one; empty where none counts. */
  readonly names: readonly string[];
  readonly tlsa: {
    readonly name: string | null;
    readonly status: DaneEvidence['status'];
    readonly records: readonly string[];
    readonly ignored: readonly { readonly record: string; readonly why: string }[];
  };
  readonly refused: { readonly class: string; readonly cause: string; readonly fix: string } | null;
};

export type PolicyView = {
  readonly domain: string;
  readonly demand: Demand;
  readonly route: { readonly type: Route['type']; readonly name: string };
  /** Why no mail can be delivered at all. */
  readonly refusal: Pick<Refusal, 'class' | 'cause' | 'fix'> | null;
  /** null: the route is no `mx`, or there is a refusal. */
  readonly mx: { readonly dnssec: boolean; readonly lane: LaneName } | null;
  readonly mtaSts: StsEvidence;
  readonly configured: ConfiguredPolicy | null;
  readonly hosts: readonly HostView[];
};

const NOT_ASKED: StsEvidence = { status: 'none', why: 'not asked: the route is no mx' };

/** Looks into a canonical domain. */
export async function viewPolicy(parts: LookParts, options: { readonly domain: string; readonly route: Route; readonly demand: Demand }): Promise<PolicyView> {
  const { domain, route, demand } = options;
  const head = { domain, demand, route: { type: route.type, name: route.name } };
  if (route.type !== 'mx') return { ...head, refusal: null, mx: null, mtaSts: NOT_ASKED, configured: null, hosts: [] };
  const known = await lookInto(parts, domain);
  if ('refusal' in known) {
    const { class: className, cause, fix } = known.refusal;
    return { ...head, refusal: { class: className, cause, fix }, mx: null, mtaSts: await parts.sts.evidence(domain), configured: parts.configured(domain), hosts: [] };
  }
  const { sts, configured, mxAuthentic, mxSecure } = known;
  const hosts = known.hosts.map(({ host, preference }, i): HostView => {
    const dane = known.dane[i] ?? { status: 'none', why: 'not looked up' };
    const decision = decide({ domain, host, mxAuthentic, dane, sts, configured, demand });
    const refused = 'refused' in decision;
    const names = refused || !('names' in decision.required) ? [] : decision.required.names;
    return {
      host,
      preference,
      policy: decision.policy,
      why: decision.why,
      required: refused ? null : decision.required.level,
      names,
      tlsa: tlsaView(dane),
      refused: refused ? explainRefusal(decision, host) : null,
    };
  });
  return { ...head, refusal: null, mx: { dnssec: mxSecure, lane: laneOf(known, demand).site }, mtaSts: sts, configured, hosts };
}

function tlsaView(dane: DaneEvidence): HostView['tlsa'] {
  const name = 'name' in dane ? dane.name : null;
  if (!('set' in dane)) return { name, status: dane.status, records: [], ignored: [] };
  const { usable, ignored } = dane.set;
  return { name, status: dane.status, records: usable.map(formatTlsa), ignored: ignored.map(({ record, why }) => ({ record: formatTlsa(record), why })) };
}
