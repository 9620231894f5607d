// The sentences of an advice: why this port, what was seen, what stands against the others.

import type { Library } from '#knowledge/libraries.ts';
import { isDead, standingOf } from './evidence.ts';
import type { Standing } from './evidence.ts';
import { hostOf } from './question.ts';
import type { Question, ServedPort } from './question.ts';

/** What a port is, whoever asks. */
export function describe(question: Question, { port, tls }: ServedPort): string {
  const whose = question.provider?.name ?? hostOf(question).host;
  if (port === 587) return '587 with STARTTLS required is the standard way to hand in mail (RFC 6409), and rarely blocked.';
  if (port === 465) return '465 is TLS from the first byte: nothing goes in the clear, so nothing can be taken out on the way (RFC 8314); rarely blocked.';
  if (tls === 'implicit') return `${port} is TLS from the first byte, as on 465, for networks that block that one.`;
  if (port === 2525) return '2525 is no assigned port, but the usual way round networks that block 587; STARTTLS is as much a must there.';
  return `${port} is served by ${whose} beside 587, for networks that block that one; STARTTLS is as much a must there.`;
}

type Chosen = { readonly best: ServedPort; readonly candidates: readonly ServedPort[]; readonly asked: Library; readonly library: Library };

/** Why the chosen port: what it is, what was passed over, and what the library does by itself. */
export function reasons(question: Question, { best, candidates, asked, library }: Chosen): string {
  const { scenario, provider, survey } = question;
  const standing = standingOf(question, best.port, best.tls);
  const passed = candidates.slice(0, candidates.indexOf(best)).filter((one) => asked.snippets[one.tls] !== null);
  const parts = [
    ...(survey?.problem === null || survey === null
      ? []
      : [`Nothing could be looked at (${survey.problem}), so this is the answer for a network that blocks nothing, and a server that serves what is usual.`]),
    ...passed.map((one) => passedOver(question, one)),
    describe(question, best),
    standingText(question, best, standing),
    scenario === 'locked-cloud' && best.port === 587 ? 'This network is not locked after all.' : '',
    provider === null ? '' : `${provider.name} documents ${provider.ports.map(({ port }) => port).join(', ')}.`,
    best.tls === 'implicit' && library.implicitFirst !== undefined ? `It is the better way for ${library.name}: ${library.implicitFirst}` : '',
    library === asked ? '' : `${asked.name} cannot do TLS from the first byte, the only way that is open here: ${library.name} can.`,
    scenario === 'own-server' && question.library === null ? '' : `${library.name} by default: ${library.default} The snippet makes TLS and the check of the certificate a must.`,
    scenario === 'own-server'
      ? `${betweenServers(question)}An own server takes mail from other servers on 25 and delivers to theirs on 25; its users hand in on 587 with a login and enforced STARTTLS, and on 465 besides, never without a login and never on 25.`
      : 'Port 25 is for mail between servers, never for handing in.',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

/** An own server takes mail and delivers on 25, which networks block more than any other port. */
function betweenServers({ survey, blocked, host }: Question): string {
  const look = survey?.looks.find(({ port }) => port === 25);
  const seen = look === undefined ? '' : ` (${look.text})`;
  if (survey?.depth === 'session' && look !== undefined)
    return look.connection === 'open'
      ? `Probed: ${host ?? survey.host} answers on 25, where other servers hand over mail${seen}. `
      : `Probed: ${host ?? survey.host} does not answer on 25 from here${seen}: no mail comes in if others see the same; a network that blocks outbound 25 looks so too. `;
  if (look?.connection === 'open') return `Probed: this network lets 25 out, so mail can be delivered from here${seen}. `;
  if (look?.connection !== 'timeout' && !blocked.includes(25)) return '';
  return `Outbound port 25 is blocked here${look === undefined ? ', as you say' : seen}: ask the provider to open it, or deliver through a relay ([[route]] type = "smarthost"). `;
}

/** Why a better one is not it. */
function passedOver(question: Question, one: ServedPort): string {
  const standing = standingOf(question, one.port, one.tls);
  if (standing === 'unknown') return question.scenario === 'locked-cloud' ? `${one.port} counts as blocked in a locked-down cloud.` : '';
  return standing === 'works' || standing === 'open' ? '' : standingText(question, one, standing);
}

/** What was found of a port, in a sentence; empty when nobody looked. */
export function standingText(question: Question, { port, tls }: ServedPort, standing: Standing): string {
  const { survey, blocked } = question;
  const { host } = hostOf(question);
  const look = survey?.looks.find((one) => one.port === port);
  const seen = look === undefined ? '' : ` (${look.text})`;
  switch (standing) {
    case 'unknown':
      return '';
    case 'works':
      return `Probed: ${host} serves it, with a certificate that verifies${seen}.`;
    case 'open':
      return `Probed: this network lets ${port} out${seen}.`;
    case 'unverified':
      return `Probed: ${host} serves ${port}, but its certificate does not verify (${look?.certificate ?? ''}), so the snippet will refuse it, as it must: give the server a certificate for this name from an authority that the client trusts, or the client that authority.`;
    case 'no-login':
      return `Probed: ${host} answers on ${port}, but offers no login under TLS${seen}.`;
    case 'server-only':
      return '';
    case 'wrong-tls':
      return look?.tls === 'none'
        ? `Probed: ${host} offers no STARTTLS on ${port}, or somebody on the way takes it out: never say a password there.`
        : `Probed: ${port} of ${host} does not do ${tls === 'implicit' ? 'TLS from the first byte' : 'STARTTLS'}${seen}.`;
    case 'blocked':
      return blocked.includes(port) || look === undefined ? `${port} is blocked, as you say.` : `Probed: this network blocks ${port}${seen}.`;
    case 'silent':
      return `Probed: ${port} is blocked: no answer${seen}; a firewall of this network drops it, or one in front of ${host}.`;
    case 'closed':
      return `Probed: ${host} does not serve ${port}${seen}.`;
  }
}

/** When no port can be used: what was seen, and what is left to do. */
export function nothingWorks(question: Question, candidates: readonly ServedPort[]): string {
  const { host } = hostOf(question);
  if (isDead(question))
    return `No mail port of ${host} can be reached: the name is wrong, or the server is down. "postern doctor ${host}" says more. Once it runs: ${candidates[0] === undefined ? '' : describe(question, candidates[0])}`;
  const seen = candidates.map((one) => standingText(question, one, standingOf(question, one.port, one.tls))).filter((text) => text !== '');
  const answering = question.survey?.looks.some(({ port, connection }) => connection === 'open' && candidates.some((one) => one.port === port)) === true;
  return answering
    ? `${seen.join(' ')} None of them can be used as it is: mend the server first ("postern doctor ${host}" says how).`
    : `${seen.join(' ')} No mail port is open from here, so what is left is an HTTP API over 443; or have the network let 587, 465 or 2525 out. Port 25 is no way out: it is for mail between servers.`;
}
