// The advisor with what only a running server, or a look at the network, knows: the ports that are served here, and what the network lets out.

import type { SecureContext } from 'node:tls';
import { advise } from '#advise/advise.ts';
import type { Survey } from '#advise/evidence.ts';
import { SELF_SIGNED, findLibrary, findProvider, hostOf, tlsOfPort } from '#advise/question.ts';
import type { Question } from '#advise/question.ts';
import { systemClock } from '#base/clock.ts';
import type { Config } from '#config/config.ts';
import { openResolver } from '#dns/resolver.ts';
import { PORTS } from '#doctor/doctor.ts';
import { surveyHost, surveyNetwork } from '#doctor/survey.ts';
import type { SurveyOptions } from '#doctor/survey.ts';
import type { AdviceService } from '#http/views/advice.ts';
import { PROVIDERS } from '#knowledge/providers.ts';
import type { BoundListener } from './binding.ts';

export type AdvisorParts = { readonly config: () => Config; readonly tlsContext: () => SecureContext; readonly listeners: readonly Pick<BoundListener, 'profile' | 'port'>[] };

const STEP_MS = 5000;

export function openAdvisor({ config, tlsContext, listeners }: AdvisorParts): AdviceService {
  const own = listeners
    .filter(({ profile }) => profile !== 'mx')
    .map(({ profile, port }) => ({ port, tls: profile === 'submissions' ? ('implicit' as const) : ('starttls' as const) }));
  return async ({ scenario, library, provider, host, ports, blocked, username, from, to, probe }) => {
    const { hostname, dns, tls } = config();
    const service = provider === null ? null : findProvider(provider);
    const here = host === null && service === null;
    const question: Question = {
      scenario: scenario ?? (service === null ? 'app' : 'esp'),
      library: library === null ? null : findLibrary(library),
      provider: service,
      host: here ? hostname : host,
      served: ports !== null ? ports.map((port) => ({ port, tls: tlsOfPort(port) })) : here ? own : null,
      blocked,
      survey: null,
      username,
      from,
      to,
      remarks: here && tls.mode === 'self-signed' ? [SELF_SIGNED] : [],
    };
    // What cannot stand in a snippet is said before anybody is kept waiting.
    const first = advise(question);
    if (!probe) return first;
    const resolver = openResolver({ ...dns, clock: systemClock });
    try {
      const settings = { resolver, timeoutMs: STEP_MS, limitMs: STEP_MS * 3, context: tlsContext(), helo: hostname };
      return advise({ ...question, survey: await lookAround(question, { ...settings, references: [], begun: () => {} }) });
    } finally {
      resolver.close();
    }
  };
}

/** The ports of the host in question; without one, or with references, whether such ports get out at all. */
export async function lookAround(question: Question, options: SurveyOptions & { readonly references: readonly string[]; readonly begun: (what: string) => void }): Promise<Survey> {
  const { references, begun, ...settings } = options;
  const ports = [...new Set([...PORTS, ...(question.served ?? question.provider?.ports ?? []).map(({ port }) => port)])];
  const { host, placeholder } = hostOf(question);
  if (!placeholder && references.length === 0) {
    begun(`trying ${ports.join(', ')} of ${host}`);
    return surveyHost(host, ports, settings);
  }
  const asked = references.length > 0 ? references : wellKnown();
  begun(`trying whether ${ports.join(', ')} get out, at ${asked.join(' and ')}`);
  return surveyNetwork(asked, ports, settings);
}

/** Services whose documentation names all four ports. */
function wellKnown(): string[] {
  return PROVIDERS.filter(({ host, ports }) => !host.includes('{') && PORTS.every((port) => ports.some((one) => one.port === port)))
    .slice(0, 2)
    .map(({ host }) => host);
}
