// What was said, found in whatever somebody pastes: a reply, a log line of some mail server, the error of a library, a delivery report. Finds the
// words and who said them; what they mean is explain.ts.

import { parseBounce } from '#mail/bounce.ts';

export type Statement = {
  /** The words, without codes. */
  readonly text: string;
  /** Null: no reply is in it. */
  readonly code: number | null;
  /** The code is made from an enhanced one: nobody may have said it (Postfix writes one for what it found itself). */
  readonly derived: boolean;
  /** `5.1.1`; '' when there is none. */
  readonly enhanced: string;
  readonly host: string | null;
  readonly recipient: string | null;
};

/** Somebody may paste a whole log. */
const MAX_CHARACTERS = 1024 * 1024;
const MAX_LINES = 5000;
const LINE_CHARACTERS = 4000;

/** A code of three digits and what may follow it: `550 5.1.1 `, `550-`, `550: `, Python's `(550, b'`. */
const REPLY = /([45][0-7]\d)(?:(?:[- ]|: ?)(?:#?([45]\.\d{1,3}\.\d{1,3})(?![.\d]))?|, b?['"](?:([45]\.\d{1,3}\.\d{1,3})(?![.\d]))?|$)/g;
/** What stands before a code that is one, and no port, time or size. */
const BEFORE_REPLY = /(?:^|[:(>"'|]|\bsaid|\bstat=|\berror|\bcode|\breply|\bresponse|\bstatus|\bfailed)[ \t]*$/i;
const ENHANCED_ALONE = /(?:^|[\s#(=])([45])\.([0-7])\.(\d{1,3})(?=$|[\s):,;])/;
const IN_REPLY_TO = /\s*\(in reply to [^)]*\)\)?\s*$/;

/** Who said it: Postfix, Exim, sendmail, OpenSMTPD. */
const HOSTS: readonly RegExp[] = [
  /\bhost ([A-Za-z0-9][A-Za-z0-9.-]{0,253})[ ]?\[/,
  /\bH=([A-Za-z0-9][A-Za-z0-9.-]{0,253})/,
  /\b(?:connect to|conversation with|connection with|by host|of server|to server|for) ([A-Za-z0-9][A-Za-z0-9.-]{0,253})\[/,
  /\brelay="?(?:[0-9.]+ \()?([A-Za-z0-9][A-Za-z0-9.-]{0,253})/,
  /\bserver ([A-Za-z0-9][A-Za-z0-9.-]{0,253}\.[A-Za-z]{2,24})\b/,
];
const RECIPIENTS: readonly RegExp[] = [/\bto=<([^<>\s]{3,320})>/, /\brcpt="?<([^<>\s]{3,320})>/, /(?:\*\*|==) (\S{1,64}@\S{1,253})/, /\bRCPT TO:<([^<>\s]{3,320})>/];

/** All that is said in it, in order. */
export function readStatements(input: Buffer | string): Statement[] {
  const text = (typeof input === 'string' ? input : input.toString('utf8')).slice(0, MAX_CHARACTERS);
  const report = fromReport(text);
  if (report.length > 0) return report;
  return joinReplies(text.split(/\r?\n/).slice(0, MAX_LINES)).flatMap((line) => fromJson(line) ?? fromLine(line));
}

/** A delivery report, or the part of one that has the fields. */
function fromReport(text: string): Statement[] {
  if (!/^(?:final-recipient|diagnostic-code)[ \t]*:/im.test(text)) return [];
  const fields = /^reporting-mta[ \t]*:/im.test(text)
    ? text.slice(text.search(/^reporting-mta[ \t]*:/im))
    : `Reporting-MTA: dns; unknown\n\n${text.slice(text.search(/^(?:original-recipient|final-recipient|action|diagnostic-code)[ \t]*:/im))}`;
  const bounce = parseBounce(Buffer.from(text)) ?? parseBounce(Buffer.from(`Content-Type: message/delivery-status\n\n${fields}`));
  return (bounce?.recipients ?? [])
    .filter(({ action }) => action === 'failed' || action === 'delayed')
    .map(({ final, status, diagnostic, remoteHost }) => {
      const [said] = fromLine(diagnostic);
      const code = said?.code ?? (status === '' ? null : status.startsWith('4') ? 450 : 550);
      return {
        text: said?.text ?? diagnostic,
        code,
        derived: said === undefined || said.code === null || said.derived,
        enhanced: said?.enhanced || status,
        host: remoteHost ?? said?.host ?? null,
        recipient: final,
      };
    });
}

/** A line of our own log, or of `--json`. */
function fromJson(line: string): Statement[] | null {
  if (!line.startsWith('{')) return null;
  try {
    const { code, enhanced, text, to, host, remoteHost } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof text !== 'string') return null;
    const name = typeof remoteHost === 'string' ? remoteHost : host;
    return [
      {
        text,
        code: typeof code === 'number' && code >= 400 ? code : null,
        derived: false,
        enhanced: typeof enhanced === 'string' ? enhanced : '',
        host: typeof name === 'string' ? name : null,
        recipient: typeof to === 'string' ? to : null,
      },
    ];
  } catch {
    return null;
  }
}

/** Lines of one reply become one: all but the last have a dash behind the code. */
function joinReplies(lines: readonly string[]): string[] {
  const joined: string[] = [];
  let open: string | null = null;
  for (const line of lines) {
    const trimmed = line.trim().slice(0, LINE_CHARACTERS);
    const [, code = '', dash = ''] = /^([45][0-7]\d)([- ]|$)/.exec(trimmed) ?? [];
    if (open !== null && (code === open || (code === '' && trimmed !== ''))) joined[joined.length - 1] = `${joined.at(-1) ?? ''} ${trimmed}`;
    else if (trimmed !== '') joined.push(trimmed);
    if (dash === '-') open = code;
    else if (code !== '' || trimmed === '') open = null;
  }
  return joined;
}

function fromLine(line: string): Statement[] {
  const text = line.slice(0, LINE_CHARACTERS).replace(IN_REPLY_TO, '');
  const host = first(HOSTS, text);
  const recipient = first(RECIPIENTS, text);
  for (const match of text.matchAll(REPLY)) {
    const [whole, code = '', enhanced, inTuple] = match;
    // With an enhanced code of the same class behind it there is no doubt.
    const sure = (enhanced ?? inTuple)?.startsWith(code[0] ?? '') === true && !/[\d.]$/.test(text.slice(0, match.index));
    if (!sure && !BEFORE_REPLY.test(text.slice(Math.max(0, match.index - 20), match.index))) continue;
    const words = text.slice(match.index + whole.length).replaceAll(new RegExp(`(?:^|\\s)${code}[- ](?:#?[45]\\.\\d{1,3}\\.\\d{1,3} )?`, 'g'), ' ');
    return [{ text: words.trim(), code: Number(code), derived: false, enhanced: enhanced ?? inTuple ?? '', host, recipient }];
  }
  const [, klass, subject, detail] = ENHANCED_ALONE.exec(text) ?? [];
  const words = /\bstat=(.*)$/.exec(text)?.[1] ?? /\bstatus=\w+ \((.*)\)$/.exec(text)?.[1] ?? text;
  if (klass !== undefined) return [{ text: words, code: klass === '4' ? 450 : 550, derived: true, enhanced: `${klass}.${subject}.${detail}`, host, recipient }];
  return text === '' ? [] : [{ text: words, code: null, derived: false, enhanced: '', host, recipient }];
}

function first(patterns: readonly RegExp[], text: string): string | null {
  for (const pattern of patterns) {
    const found = pattern.exec(text)?.[1];
    if (found !== undefined && found !== 'none' && found !== 'local') return found.toLowerCase();
  }
  return null;
}
