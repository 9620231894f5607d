// Looks for many phrases in one text in one pass, without regular expressions: what runs time on a reply from the internet must not depend on how
// the reply was made. A phrase is literal lower-case text that begins at the beginning of a word; `a * b` is a and, anywhere after it, b; a `$`
// at the end is the end of a word.

export type Phrases = {
  /** The numbers of the lists of which a phrase is in the text. */
  find(text: string): Set<number>;
};

type Part = { readonly text: string; readonly whole: boolean };
type Phrase = { readonly list: number; readonly parts: readonly Part[] };

const KEY_CHARACTERS = 3;
const SPACES = /\s\s|[^\S ]/;
/** Nobody says more that counts. */
const MAX_CHARACTERS = 4000;

/** `lists` by number: each with the phrases that any one of is enough. */
export function compilePhrases(lists: readonly (readonly string[])[]): Phrases {
  const byKey = new Map<number, Phrase[]>();
  /** Those that do not begin with a letter or digit, or are shorter than a key. */
  const loose: Phrase[] = [];
  lists.forEach((phrases, list) => {
    for (const phrase of phrases) {
      const parts = phrase
        .split(' * ')
        .flatMap((part) => part.split('*'))
        .map(partOf);
      const compiled = { list, parts };
      const first = parts[0]?.text ?? '';
      if (first.length < KEY_CHARACTERS || !isWordCharacter(first.charCodeAt(0))) loose.push(compiled);
      else {
        const key = keyAt(first, 0);
        const known = byKey.get(key);
        if (known === undefined) byKey.set(key, [compiled]);
        else known.push(compiled);
      }
    }
  });
  return { find: (text) => find(text, byKey, loose) };
}

function partOf(text: string): Part {
  return text.endsWith('$') ? { text: text.slice(0, -1), whole: true } : { text, whole: false };
}

function find(given: string, byKey: ReadonlyMap<number, readonly Phrase[]>, loose: readonly Phrase[]): Set<number> {
  const text = normal(given);
  const found = new Set<number>();
  let before = false;
  for (let i = 0; i < text.length; i++) {
    const inWord = isWordCharacter(text.charCodeAt(i));
    if (inWord && !before) {
      const phrases = byKey.get(keyAt(text, i));
      if (phrases !== undefined) for (const phrase of phrases) if (!found.has(phrase.list) && begins(text, phrase, i)) found.add(phrase.list);
    }
    before = inWord;
  }
  for (const { list, parts } of loose) if (!found.has(list) && follows(text, parts, { first: 0, from: 0 })) found.add(list);
  return found;
}

/** The first three characters as a number: no string is made for each word. */
function keyAt(text: string, at: number): number {
  return (text.charCodeAt(at) & 0x3ff) | ((text.charCodeAt(at + 1) & 0x3ff) << 10) | ((text.charCodeAt(at + 2) & 0x3ff) << 20);
}

function begins(text: string, { parts }: Phrase, at: number): boolean {
  const first = parts[0] as Part;
  return isAt(text, first, at) && follows(text, parts, { first: 1, from: at + first.text.length });
}

/** Lower case, single spaces, bounded. */
function normal(given: string): string {
  const text = given.slice(0, MAX_CHARACTERS).toLowerCase();
  return SPACES.test(text) ? text.replace(/\s+/g, ' ') : text;
}

/** Each part at the earliest place behind the one before: if they are there in this order at all, they are found so. */
function follows(text: string, parts: readonly Part[], { first, from }: { readonly first: number; readonly from: number }): boolean {
  let at = from;
  for (let i = first; i < parts.length; i++) {
    const part = parts[i] as Part;
    const place = placeOf(text, part, at);
    if (place === -1) return false;
    at = place + part.text.length;
  }
  return true;
}

function placeOf(text: string, part: Part, from: number): number {
  const needsStart = isWordCharacter(part.text.charCodeAt(0));
  for (let at = text.indexOf(part.text, from); at !== -1; at = text.indexOf(part.text, at + 1)) {
    const starts = !needsStart || at === 0 || !isWordCharacter(text.charCodeAt(at - 1));
    if (starts && isAt(text, part, at)) return at;
  }
  return -1;
}

function isAt(text: string, { text: part, whole }: Part, at: number): boolean {
  return text.startsWith(part, at) && !(whole && isWordCharacter(text.charCodeAt(at + part.length)));
}

/** Letters, digits, and everything beyond ASCII; NaN (past the end) is none. */
function isWordCharacter(code: number): boolean {
  return (code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code > 0x7f;
}
