// What a notification says to people: what happened to their message, why, what to do, in plain words, and the other side's own.
// Plain text, CRLF, under 78 columns where words allow. RFC 3461 6.1, RFC 3464 1.3 (for people as for programs).

import { decodeWords, formatDate, oneLine, parseHeaders } from './headers.ts';
import { remoteWords } from './notification.ts';
import type { DsnKind, DsnOptions, DsnRecipient } from './notification.ts';

const COLUMNS = 72;
const REMOTE_CHARACTERS = 2000;
const WORD_CHARACTERS = 200;
/** More recipients than this are told in the machine-readable part only. */
const RECIPIENTS = 100;

const OPENINGS: Record<DsnKind, (count: string) => string> = {
  failed: (count) => `Your message could not be delivered to ${count}. It will not be tried again.`,
  delayed: (count) => `Your message could not be delivered to ${count} yet. You need not send it again.`,
  delivered: (count) => `Your message was delivered to ${count}, as you asked to be told.`,
  relayed: (count) => `Your message was passed on for ${count} to a server that does not report on delivery. You asked to be told; you may hear nothing more.`,
  expanded: (count) => `Your message for ${count} was sent on to several others, as you asked to be told.`,
};

/** The text for people. Every value from outside is on one line, without control characters, cut to a bound. */
export function explain(options: DsnOptions): string {
  const { kind, hostname, recipients, retryUntilMs } = options;
  const count = recipients.length === 1 ? 'one recipient' : `${recipients.length} recipients`;
  const lines = [...wrap(`This is the mail server ${hostname}.`, ''), '', ...wrap(OPENINGS[kind](count), '')];
  if (kind === 'delayed' && retryUntilMs !== null) lines.push(...wrap(`Delivery is tried until ${formatDate(retryUntilMs)}; you will be told if it fails for good.`, ''));
  lines.push('', ...whichMessage(options));
  for (const recipient of recipients.slice(0, RECIPIENTS)) lines.push('', ...aboutRecipient(recipient, kind));
  if (recipients.length > RECIPIENTS) lines.push('', ...wrap(`${recipients.length - RECIPIENTS} more recipients are listed in the report below.`, ''));
  return `${lines.join('\r\n')}\r\n`;
}

function whichMessage({ original }: DsnOptions): string[] {
  const { fields } = parseHeaders(original.headers);
  const value = (name: string): string => oneLine(decodeWords(fields.find((field) => field.name === name)?.value() ?? '')).slice(0, 300);
  const facts: [string, string][] = [
    ['Subject', value('subject')],
    ['Message-ID', value('message-id')],
    ['Received', formatDate(original.acceptedAtMs)],
  ];
  return ['The message:', ...facts.filter(([, text]) => text !== '').flatMap(([name, text]) => wrap(`${name}: ${text}`, '  '))];
}

function aboutRecipient({ address, orcpt, outcome }: DsnRecipient, kind: DsnKind): string[] {
  const asked = orcpt !== null && orcpt.value !== address.text ? ` (you wrote to ${orcpt.value})` : '';
  const lines = wrap(`<${address.text}>${asked}`, '');
  if (outcome === null) return lines;
  if (kind !== 'failed' && kind !== 'delayed') return [...lines, ...said(outcome)];
  if (outcome.cause !== '') lines.push(...wrap(`What happened: ${outcome.cause}`, '  '));
  if (outcome.possibleDuplicate === true) lines.push(...wrap('It may have arrived all the same: the server got the whole message, and did not answer.', '  '));
  if (outcome.fix !== '') lines.push(...wrap(`What to do: ${outcome.fix}`, '  '));
  return [...lines, ...said(outcome)];
}

function said(outcome: NonNullable<DsnRecipient['outcome']>): string[] {
  const words = remoteWords(outcome);
  if (words === null) return [];
  return wrap(`The server ${outcome.remoteHost ?? ''} said: ${words}`.replace('server  said', 'server said'), '  ');
}

/** Lines of at most 72 columns where words are no longer; a continued line is indented by two more. */
function wrap(text: string, indent: string): string[] {
  const words = oneLine(text)
    .slice(0, REMOTE_CHARACTERS)
    .split(/\s+/)
    .flatMap((word) => word.match(new RegExp(`.{1,${WORD_CHARACTERS}}`, 'gsu')) ?? []);
  const lines: string[] = [];
  let line = indent;
  let empty = true;
  for (const word of words) {
    if (!empty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = `${indent === '' ? '' : `${indent}  `}${word}`;
    } else {
      line += empty ? word : ` ${word}`;
      empty = false;
    }
  }
  return [...lines, line];
}
