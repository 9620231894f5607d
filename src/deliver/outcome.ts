// From what happened to what it means for a recipient: verdict, scope, class, cause and fix. Pure; the one place where codes become verdicts.

import type { Outcome, OutcomeScope, Security } from '#queue/records.ts';
import { explainFailure, explainReply } from '#knowledge/explain.ts';
import type { ClientFailure, RemoteReply } from '#smtp/client.ts';
import { remoteWords } from '#mail/notification.ts';
import type { HopReply, NotConnected, Refusal } from './connector.ts';

/** Where and when the attempt was made. */
export type Attempt = {
  readonly route: string;
  readonly host: string | null;
  readonly address: string | null;
  readonly port: number | null;
  readonly tls: string | null;
  readonly security?: Security | null;
  readonly startedAtMs: number;
  readonly durationMs: number;
};

/** The outcome of one recipient's reply. 2xx delivered, 4xx deferred, 5xx bounced (RFC 5321 4.2.1). */
export function outcomeOfReply(attempt: Attempt, { accepted, phase, reply, explained }: HopReply): Outcome {
  if (accepted) {
    return {
      ...base(attempt),
      verdict: 'delivered',
      scope: 'recipient',
      code: reply.code,
      enhanced: enhancedOf(reply),
      text: textOf(reply),
      class: 'delivered',
      cause: '',
      fix: '',
    };
  }
  const verdict = reply.code >= 500 ? 'bounced' : 'deferred';
  const explanation = explained ?? explainReply(reply, attempt.host);
  const scope: OutcomeScope = phase === 'rcpt' ? 'recipient' : phase === 'mail' && reply.code === 421 ? 'host' : 'message';
  return {
    ...base(attempt),
    verdict,
    scope,
    code: reply.code,
    enhanced: enhancedOf(reply),
    text: textOf(reply),
    ...explanation,
    ...(verdict === 'bounced' ? { fix: atTheEnd(explanation.fix) } : {}),
  };
}

/** What a hop lacks that a message needs. RFC 6531 3.5, RFC 8689 4.2.1, RFC 1870 6.3. */
const LACKS: Readonly<Record<string, Pick<Outcome, 'code' | 'enhanced'>>> = {
  ERR_SMTPUTF8_ADDRESS: { code: 553, enhanced: '5.6.7' },
  ERR_SMTPUTF8_HEADER: { code: 554, enhanced: '5.6.9' },
  ERR_REQUIRETLS: { code: 550, enhanced: '5.7.30' },
  ERR_SIZE: { code: 552, enhanced: '5.3.4' },
};

/** The outcome of a transaction that failed as a whole: what this message needs and the hop lacks is final, the rest is tried again. */
export function outcomeOfFailure(attempt: Attempt, failure: ClientFailure): Outcome {
  const explained = explainFailure(failure, { host: attempt.host ?? 'the next hop', port: attempt.port });
  const lacks = LACKS[failure.code ?? ''];
  if (failure.kind === 'policy' && lacks !== undefined) return { ...base(attempt), verdict: 'bounced', scope: 'local', ...lacks, text: failure.text, ...explained };
  const temporary = failure.kind === 'timeout' ? '4.4.1' : '4.4.2';
  return {
    ...base(attempt),
    verdict: 'deferred',
    scope: 'host',
    code: failure.reply?.code ?? 0,
    enhanced: failure.reply === null ? temporary : enhancedOf(failure.reply),
    text: failure.reply === null ? failure.text : textOf(failure.reply),
    ...explained,
    possibleDuplicate: failure.possibleDuplicate,
  };
}

/** The outcome when no candidate could be connected to. */
export function outcomeOfNoConnection(attempt: Attempt, result: NotConnected): Outcome {
  if (result.permanent !== null) return outcomeOfRefusal(attempt, result.permanent);
  // What the security policy says is more telling than which host came last.
  const last = result.tried.find((one) => one.explained !== undefined) ?? result.tried.at(-1);
  if (last === undefined)
    return outcomeOfRefusal(attempt, {
      verdict: 'deferred',
      code: 451,
      enhanced: '4.4.1',
      text: 'No host could be tried',
      class: 'aborted',
      cause: 'The attempt ended before any host was tried.',
      fix: 'It is tried again by itself.',
    });
  const place = { host: last.host, port: last.port };
  const explained = last.explained ?? explainFailure(last.failure, place);
  const { reply } = last.failure;
  const refusedByGreeting =
    attempt.route === 'mx' && reply !== null && result.tried.every((one) => (one.failure.reply?.code ?? 0) >= 500 && one.failure.phase !== 'auth' && one.failure.kind === 'reply');
  return {
    ...base({ ...attempt, host: last.host, address: last.address, port: last.port, security: last.security ?? null }),
    // A greeting of 5xx from every host says that no mail is taken (RFC 5321 3.1, RFC 7504); all else may pass, and what an upstream relay or
    // a mail store of our own says to us is ours to mend.
    verdict: refusedByGreeting ? 'bounced' : 'deferred',
    scope: 'lane',
    code: reply?.code ?? 0,
    enhanced: reply !== null ? enhancedOf(reply) : last.failure.kind === 'tls' || last.explained !== undefined ? '4.7.5' : '4.4.1',
    text: reply === null ? last.failure.text : textOf(reply),
    ...explained,
  };
}

/** The outcome that the DNS or the configuration gives without any connection. */
export function outcomeOfRefusal(attempt: Attempt, refusal: Refusal): Outcome {
  return { ...base(attempt), scope: 'local', ...refusal };
}

const TRIED_AGAIN =
  /(?<=^|[.;] )(?:it|the message waits and) is tried again(?: by itself| later)?(?:, not before [^.;]*)?(?:[.;:] ?|$)(?:if it (?:lasts|stays so), )?|[;,] the message waits until then/gi;

/** Advice where nothing is tried any more: the sender's turn. */
function atTheEnd(fix: string): string {
  const left = fix.replace(TRIED_AGAIN, '').trim();
  if (left === fix) return fix;
  return `${left.charAt(0).toUpperCase()}${left.slice(1)} Send it again later, or reach the recipient by another way.`.trim();
}

export function expired(last: Outcome | null, attempt: Attempt): Outcome {
  const told = last === null ? 'It was never attempted.' : `The last attempt said: ${last.text}`;
  return {
    ...base(attempt),
    ...(last === null
      ? {}
      : {
          remoteHost: last.remoteHost,
          remoteAddress: last.remoteAddress,
          remotePort: last.remotePort,
          tls: last.tls,
          ...(last.security === undefined ? {} : { security: last.security }),
        }),
    verdict: 'expired',
    scope: 'recipient',
    code: last?.code ?? 0,
    enhanced: '4.4.7',
    text: `Delivery time expired. ${told}`,
    ...(last === null || remoteWords(last) === null ? {} : { said: remoteWords(last) as string }),
    class: 'expired',
    cause:
      last?.cause === undefined || last.cause === ''
        ? 'The message could not be delivered in the time it may wait.'
        : `The message could not be delivered in the time it may wait. ${last.cause}`,
    fix: last === null ? 'Look at why the queue did not get to it.' : atTheEnd(last.fix),
    possibleDuplicate: last?.possibleDuplicate ?? false,
  };
}

export function captured(attempt: Attempt): Outcome {
  return {
    ...base(attempt),
    verdict: 'captured',
    scope: 'recipient',
    code: 250,
    enhanced: '2.0.0',
    text: 'Captured: kept for viewing, never sent',
    class: 'captured',
    cause: '',
    fix: '',
  };
}

/** Deferrals that tell of one recipient or one message, and nothing of the site. */
const ABOUT_ONE: ReadonlySet<string> = new Set([
  'greylisted',
  'mailbox-full',
  'mailbox-disabled',
  'no-such-user',
  'too-many-recipients',
  'message-too-big',
  'content-refused',
  'conversion-failed',
]);

/** Whether a deferral says something of how the site does at present. */
export function speaksOfSite(outcome: Outcome): boolean {
  return !ABOUT_ONE.has(outcome.class);
}

/**
 * Whether another host of the site may take at once what this one did not: it had some trouble of its own, and has not taken it. A greylist
 * or a limit is for all hosts of a site and is not to be walked around.
 */
export function mayGoElsewhere(outcome: Outcome): boolean {
  return outcome.verdict === 'deferred' && !outcome.possibleDuplicate && speaksOfSite(outcome) && outcome.class !== 'rate-limited' && outcome.class !== 'aborted';
}

function base(attempt: Attempt): Pick<Outcome, 'route' | 'remoteHost' | 'remoteAddress' | 'remotePort' | 'tls' | 'security' | 'possibleDuplicate' | 'startedAtMs' | 'durationMs'> {
  const { security } = attempt;
  return {
    route: attempt.route,
    remoteHost: attempt.host,
    remoteAddress: attempt.address,
    remotePort: attempt.port,
    tls: attempt.tls,
    ...(security === undefined || security === null ? {} : { security }),
    possibleDuplicate: false,
    startedAtMs: attempt.startedAtMs,
    durationMs: attempt.durationMs,
  };
}

/** The enhanced code of a reply: '' when there is none, or one that contradicts its code (it then stays in the text). Nothing is invented. */
function enhancedOf(reply: RemoteReply): string {
  return reply.enhanced.startsWith(String(reply.code).charAt(0)) ? reply.enhanced : '';
}

const MAX_TEXT = 1000;

function textOf(reply: RemoteReply): string {
  const [first = ''] = reply.lines;
  const text = reply.lines.length === 1 ? first : reply.lines.join(' ');
  return (enhancedOf(reply) === reply.enhanced ? text : `${reply.enhanced} ${text}`).slice(0, MAX_TEXT);
}
