// `doctor explain`: what was said, with its class, the cause, the fix, who has to act, and whether sending again helps.

import { CLASSES } from '#knowledge/classes.ts';
import type { Retry, Who } from '#knowledge/classes.ts';
import { filled } from '#knowledge/explain.ts';
import { findFailureText } from '#knowledge/failures.ts';
import { receiverOf } from '#knowledge/receivers.ts';
import { findReply, retryHelps, whoActs } from '#knowledge/replies.ts';
import { readStatements } from './statements.ts';
import type { Statement } from './statements.ts';

export type Explained = {
  /** What was found: a reply of a server, or a failure in the words of a program. */
  readonly kind: 'reply' | 'failure';
  readonly code: number | null;
  readonly enhanced: string;
  readonly text: string;
  readonly host: string | null;
  readonly recipient: string | null;
  /** Who said it, when that is known. */
  readonly provider: { readonly name: string; readonly help: string } | null;
  readonly class: string;
  readonly meaning: string;
  readonly cause: string;
  readonly fix: string;
  readonly who: Who;
  readonly retry: Retry;
  /** Where the knowledge is from. */
  readonly source: string | null;
};

const MAX_EXPLAINED = 50;
const FEW_LINES = 5;

/** Explains all that is said in it, each once. Empty when nothing in it is known. */
export function explainText(input: Buffer | string): Explained[] {
  const seen = new Set<string>();
  const explained: Explained[] = [];
  const statements = readStatements(input);
  for (const statement of statements) {
    // In a whole log any word may stand for anything; in a line or two that somebody asks about, the words alone are worth a look.
    const one = explainStatement(statement) ?? (statements.length <= FEW_LINES ? explainWords(statement) : null);
    const key = one === null ? '' : `${one.code} ${one.enhanced} ${one.class} ${one.cause} ${one.host ?? ''}`;
    if (one === null || seen.has(key)) continue;
    seen.add(key);
    explained.push(one);
    if (explained.length === MAX_EXPLAINED) break;
  }
  return explained;
}

function explainStatement(statement: Statement): Explained | null {
  const { text, code, enhanced, host, recipient } = statement;
  const receiver = receiverOf(host, text);
  const provider = receiver === null ? null : { name: receiver.name, help: receiver.help };
  const common = { code, enhanced, text, host, recipient, provider };
  const failure = code === null || statement.derived ? findFailureText(text) : null;
  if (code !== null && failure === null) {
    const row = findReply({ code, enhanced, lines: [text] }, host);
    if (row === null) return null;
    return { kind: 'reply', ...common, ...meaningOf(row.class), cause: row.cause, fix: row.fix, who: whoActs(row), retry: retryHelps(row), source: row.source };
  }
  if (failure === null) return null;
  const place = { host: host ?? 'the server', port: null };
  const sentence = (words: string): string => capital(filled(words.replaceAll(/ ?port \{port\}/g, ''), place).replaceAll(' on,', ','));
  const { class: named, cause, fix } = failure;
  return {
    kind: 'failure',
    ...common,
    code: null,
    ...meaningOf(named),
    cause: sentence(cause),
    fix: sentence(fix),
    who: whoActs({ class: named }),
    retry: retryHelps({ class: named }),
    source: null,
  };
}

/** A reply whose codes somebody left out. */
function explainWords(statement: Statement): Explained | null {
  const { text, host, enhanced, recipient } = statement;
  if (statement.code !== null || /\bstatus=sent\b|\b250[ -]|^2\d\d[ -]/.test(text)) return null;
  const row = [550, 450].map((code) => findReply({ code, enhanced, lines: [text] }, host)).find((one) => one?.text !== undefined);
  if (row === undefined || row === null) return null;
  const receiver = receiverOf(host, text);
  const provider = receiver === null ? null : { name: receiver.name, help: receiver.help };
  const { cause, fix, source } = row;
  return { kind: 'reply', code: null, enhanced, text, host, recipient, provider, ...meaningOf(row.class), cause, fix, who: whoActs(row), retry: retryHelps(row), source };
}

function meaningOf(name: string): { readonly class: string; readonly meaning: string } {
  return { class: name, meaning: CLASSES.get(name)?.meaning ?? '' };
}

function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
