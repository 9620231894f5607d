// What a message can be found by: words of its subject and addresses, and whole addresses, domains and names as one term each. A term stands for a value by its
// hash, so that any value is one token; whoever finds by terms looks at the row all the same. Owns what a filter means, too.

import type { MessageFilter } from '#store/history.ts';

/** What of a row is indexed. */
export type Indexed = {
  readonly from_address: string;
  readonly to_addresses: string;
  readonly subject: string;
  readonly message_id: string;
  readonly credential: string | null;
  readonly project: string | null;
};

/** Of the private use area: no word contains it. */
const MARK = '\uE000';
const MAX_WORDS = 8;
const MAX_WORD = 64;

type Kind = 'f' | 'F' | 't' | 'T' | 'c' | 'p' | 'm';

/** All terms of a message as one text, separated by spaces. */
export function termsOf(row: Indexed): string {
  const to = JSON.parse(row.to_addresses) as string[];
  const terms = [term('f', row.from_address), term('F', domainOf(row.from_address)), term('m', bare(row.message_id))];
  if (row.credential !== null) terms.push(term('c', row.credential));
  if (row.project !== null) terms.push(term('p', row.project));
  const domains = new Set<string>();
  for (const address of to) {
    terms.push(term('t', address));
    domains.add(domainOf(address));
  }
  for (const domain of domains) terms.push(term('T', domain));
  return `${terms.join(' ')} ${row.subject} ${row.from_address} ${to.join(' ')}`;
}

/** The question to the full-text index for what of a filter it knows; '' when that is nothing. */
export function matchOf({ from, to, credential, project, text }: MessageFilter): string {
  const parts: string[] = [];
  if (from !== undefined) parts.push(quote(from.includes('@', 1) ? term('f', from) : term('F', bareDomain(from))));
  if (to !== undefined) parts.push(quote(to.includes('@', 1) ? term('t', to) : term('T', bareDomain(to))));
  if (credential !== undefined) parts.push(quote(term('c', credential)));
  if (project !== undefined) parts.push(quote(term('p', project)));
  for (const piece of piecesOf(text)) {
    if (piece.kind === 'words') parts.push(...piece.words.map((word, i) => `${quote(word)}${i === piece.words.length - 1 ? '*' : ''}`));
    else if (piece.kind === 'domain') parts.push(anyOf([term('F', piece.value), term('T', piece.value)]));
    else parts.push(anyOf([term('f', piece.value), term('t', piece.value), term('m', bare(piece.value))]));
  }
  return parts.join(' AND ');
}

/** What of a filter a row can be held against; `words` only where the index was not asked, which knows them better. `status` and times are the caller's. */
export function conditionsOf(
  { from, to, credential, project, text }: MessageFilter,
  { words }: { readonly words: boolean },
): { readonly where: string[]; readonly parameters: string[] } {
  const where: string[] = [];
  const parameters: string[] = [];
  const add = (sql: string, ...values: string[]): void => {
    where.push(sql);
    parameters.push(...values);
  };
  if (from !== undefined) add("from_address LIKE ? ESCAPE '\\'", likeAddress(from));
  if (to !== undefined) add("to_addresses LIKE ? ESCAPE '\\'", likeListed(to));
  if (credential !== undefined) add('credential = ?', credential);
  if (project !== undefined) add('project = ?', project);
  for (const piece of piecesOf(text)) {
    if (piece.kind === 'words')
      for (const word of words ? piece.words : []) add("(subject || ' ' || from_address || ' ' || to_addresses) LIKE ? ESCAPE '\\'", `%${literal(word)}%`);
    else {
      const value = piece.kind === 'domain' ? `@${piece.value}` : piece.value;
      add(
        "(from_address LIKE ? ESCAPE '\\' OR to_addresses LIKE ? ESCAPE '\\' OR message_id LIKE ? ESCAPE '\\')",
        likeAddress(value),
        likeListed(value),
        `%${literal(bare(value))}%`,
      );
    }
  }
  return { where, parameters };
}

type Piece = { readonly kind: 'words'; readonly words: readonly string[] } | { readonly kind: 'domain' | 'whole'; readonly value: string };

/** What somebody typed: pieces with an `@` are taken whole, of the others every word counts. */
function piecesOf(text: string | undefined): Piece[] {
  if (text === undefined) return [];
  const pieces: Piece[] = [];
  for (const part of text.trim().split(/\s+/u).slice(0, MAX_WORDS)) {
    if (part.startsWith('@') && part.length > 1) pieces.push({ kind: 'domain', value: part.slice(1).toLowerCase() });
    else if (part.includes('@')) pieces.push({ kind: 'whole', value: part });
    else {
      const words = part.split(/[^\p{L}\p{N}]+/u).filter((word) => word !== '');
      if (words.length > 0) pieces.push({ kind: 'words', words: words.slice(0, MAX_WORDS).map((word) => word.slice(0, MAX_WORD)) });
    }
  }
  return pieces;
}

function anyOf(terms: readonly string[]): string {
  return `(${terms.map(quote).join(' OR ')})`;
}

function quote(text: string): string {
  return `"${text}"`;
}

function term(kind: Kind, value: string): string {
  return `${MARK}${kind}${hash(kind + value.toLowerCase())}`;
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

function bareDomain(text: string): string {
  return text.startsWith('@') ? text.slice(1) : text;
}

/** A Message-ID without its brackets. */
function bare(text: string): string {
  return text.replace(/^<|>$/g, '');
}

/** 53 bits, not of cryptography: what is found is looked at. */
function hash(text: string): string {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    high = Math.imul(high ^ code, 2_654_435_761);
    low = Math.imul(low ^ code, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return (4_294_967_296 * (2_097_151 & low) + (high >>> 0)).toString(36);
}

/** Wildcards of LIKE lose their meaning. */
function literal(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&');
}

/** An address as it is; a domain (with or without `@`) as any address of it. */
function likeAddress(text: string): string {
  if (!text.includes('@')) return `%@${literal(text)}`;
  return text.startsWith('@') ? `%${literal(text)}` : literal(text);
}

/** The same in a list of addresses, which is JSON. */
function likeListed(text: string): string {
  const listed = literal(JSON.stringify(text).slice(1, -1));
  if (!text.includes('@')) return `%@${listed}"%`;
  return text.startsWith('@') ? `%${listed}"%` : `%"${listed}"%`;
}
