// What a sink does in the place of what a good server would do, at one step of a session: a reply, silence, a closed connection, nonsense.
// Written as a line of text, in the personalities and on the command line alike.

import type { Reply } from '#smtp/reply.ts';

export const STEPS = ['connect', 'ehlo', 'helo', 'starttls', 'auth', 'mail', 'rcpt', 'data', 'message', 'rset', 'noop', 'vrfy', 'quit'] as const;
/** `message`: the end of the content. */
export type Step = (typeof STEPS)[number];

export type Act =
  | { readonly do: 'reply'; readonly reply: Reply }
  | { readonly do: 'drop' | 'reset' | 'stall' }
  /** Bytes as they are; then silence, or the end. */
  | { readonly do: 'raw'; readonly text: string; readonly close: boolean }
  | { readonly do: 'endless'; readonly text: string }
  /** One of several, by chance. */
  | { readonly do: 'any' }
  /** What the recipient's address asks for. */
  | { readonly do: 'by-address' };

/** When a rule holds. `$` of a personality is its number. */
export type When =
  | { readonly is: 'always' }
  /** A sender, recipient and client that was first seen less than so long ago. */
  | { readonly is: 'new'; readonly ms: number }
  | { readonly is: 'over-connections'; readonly count: number }
  | { readonly is: 'after-messages'; readonly count: number }
  | { readonly is: 'over-rate'; readonly perMinute: number }
  | { readonly is: 'chance'; readonly percent: number };

/** `pattern`: of the recipient, sender or name that the step is about; null: any. `from`: what asked for it, for the events. */
export type Rule = { readonly step: Step; readonly pattern: string | null; readonly when: When; readonly act: Act; readonly from: string };

/** Reads an act: `550 5.1.1 No such user` (\n for more lines), `drop`, `reset`, `stall`, `raw TEXT`, `raw+drop TEXT`, `endless TEXT`. Null when it is none. */
export function parseAct(text: string, step: Step): Act | null {
  const word = /^(drop|reset|stall|any|by-address)$/.exec(text)?.[1];
  if (word !== undefined) return { do: word as 'drop' | 'reset' | 'stall' | 'any' | 'by-address' };
  const [, kind, rest = ''] = /^(raw|raw\+drop|endless) (.+)$/s.exec(text) ?? [];
  if (kind === 'endless') return { do: 'endless', text: unescaped(rest) };
  if (kind !== undefined) return { do: 'raw', text: unescaped(rest), close: kind === 'raw+drop' };
  const reply = parseReply(text, step);
  return reply === null ? null : { do: 'reply', reply };
}

/** `CODE [X.Y.Z] text`. 421 closes the connection, and so does whatever refuses it before the greeting. */
function parseReply(text: string, step: Step): Reply | null {
  const [, code, enhanced = '', rest] = /^([2-5]\d\d)(?:[ -]([245]\.\d{1,3}\.\d{1,3}))?(?:[ -](.*))?$/s.exec(text) ?? [];
  if (code === undefined) return null;
  if (enhanced !== '' && enhanced[0] !== code[0]) return null;
  const close = code === '421' || step === 'connect' || (step === 'quit' && code[0] === '2');
  return { code: Number(code), enhanced, lines: unescaped(rest ?? 'As you wish').split(/\r?\n/), ...(close ? { close } : {}) };
}

/** The act that the local part of an address asks for: `550@`, `450-4.2.1@`, `drop@`, `stall@`; with `data-` before it at the end of the message. */
export function actOfAddress(local: string, step: Step): Act | null {
  const [, late, what = ''] = /^(data-)?(drop|reset|stall|[2-5]\d\d(?:-[245]\.\d{1,3}\.\d{1,3})?)$/i.exec(local) ?? [];
  if (what === '' || (late !== undefined) !== (step === 'message')) return null;
  const text = what.toLowerCase();
  return parseAct(/^\d/.test(text) ? `${text.replace('-', ' ')} As the address asks` : text, step);
}

export function actText(act: Act): string {
  return act.do === 'reply' ? [act.reply.code, act.reply.enhanced, act.reply.lines[0]].filter((part) => part !== '').join(' ') : act.do;
}

/** `*` and `?` stand for anything; capitals do not count. */
export function matches(pattern: string | null, text: string): boolean {
  if (pattern === null || pattern === '*') return true;
  const expression = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${expression}$`, 'isu').test(text);
}

function unescaped(text: string): string {
  return text.replace(/\\([rnt\\0])/g, (_, character: string) => ({ r: '\r', n: '\n', t: '\t', '\\': '\\', '0': '\0' })[character] ?? '');
}
