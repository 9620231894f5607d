// The macro language of SPF: texts with `%{...}` read once into parts, filled in later. Asks no DNS: `%{p}` is handed in when it is
// needed. RFC 7208 7.

/** A text with macros, read. */
export type MacroString = readonly MacroPart[];

type MacroPart =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'macro'; readonly letter: string; readonly escape: boolean; readonly keep: number | null; readonly reverse: boolean; readonly delimiters: string };

/** What the letters stand for. `p` is the validated name of the client, found only for texts that use it. */
export type MacroValues = {
  /** The whole sender; the local part and domain of it. */
  readonly s: string;
  readonly l: string;
  readonly o: string;
  /** The domain whose record is evaluated. */
  readonly d: string;
  /** The client's address with dots: octets, or nibbles of IPv6. */
  readonly i: string;
  readonly v: 'in-addr' | 'ip6';
  readonly h: string;
  readonly p: string;
  /** Only in explanations: readable address, the checking host, the time in seconds. */
  readonly c: string;
  readonly r: string;
  readonly t: string;
};

const MACRO = /%(?:\{([a-z])(\d*)(r?)([-.+,/_=]*)\}|([%_-]))/giy;
const LETTERS = 'slodiphv';
const EXPLANATION_LETTERS = `${LETTERS}crt`;
const FIXED: Readonly<Record<string, string>> = { '%': '%', _: ' ', '-': '%20' };
const MAX_NAME = 253;

/** Reads a macro-string (RFC 7208 7.1); null when it is none. `spaces`: explanations may have them. */
export function parseMacros(text: string, options: { readonly explanation: boolean } = { explanation: false }): MacroString | null {
  const literal = options.explanation ? /[\x20-\x24\x26-\x7e]+/y : /[\x21-\x24\x26-\x7e]+/y;
  const letters = options.explanation ? EXPLANATION_LETTERS : LETTERS;
  const parts: MacroPart[] = [];
  let at = 0;
  while (at < text.length) {
    literal.lastIndex = at;
    const plain = literal.exec(text);
    if (plain !== null) {
      parts.push({ kind: 'literal', text: plain[0] });
      at = literal.lastIndex;
      continue;
    }
    MACRO.lastIndex = at;
    const found = MACRO.exec(text);
    if (found === null) return null;
    const part = macroPart(found, letters);
    if (part === null) return null;
    parts.push(part);
    at = MACRO.lastIndex;
  }
  return parts;
}

function macroPart(found: RegExpExecArray, letters: string): MacroPart | null {
  const [, letter, digits = '', reverse = '', delimiters = '', fixed] = found;
  if (fixed !== undefined) return { kind: 'literal', text: FIXED[fixed] ?? '' };
  const lower = letter?.toLowerCase() ?? '';
  if (!letters.includes(lower) || /^0+$/.test(digits)) return null;
  return { kind: 'macro', letter: lower, escape: letter !== lower, keep: digits === '' ? null : Number(digits), reverse: reverse !== '', delimiters: delimiters || '.' };
}

/** Reads a domain-spec: macros, ending in a top label or a macro (RFC 7208 7.1). */
export function parseDomainSpec(text: string): MacroString | null {
  const parts = parseMacros(text);
  if (parts === null || parts.length === 0) return null;
  // `%%`, `%_` and `%-` end it as macro-expand does.
  const end = /%(?:\{[^}]*\}|[%_-])$/.test(text) || /\.(?:[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+-[a-z0-9-]*[a-z0-9])\.?$/i.test(text);
  return end ? parts : null;
}

export function usesName(text: MacroString): boolean {
  return text.some((part) => part.kind === 'macro' && part.letter === 'p');
}

/** Whether it says something else for another sender of the same domain. */
export function usesLocal(text: MacroString): boolean {
  return text.some((part) => part.kind === 'macro' && (part.letter === 'l' || part.letter === 's'));
}

export function expandMacros(text: MacroString, values: MacroValues): string {
  return text.map((part) => (part.kind === 'literal' ? part.text : expandOne(part, values))).join('');
}

/** The name to ask for: one that is too long loses labels on the left; a final dot goes (RFC 7208 7.3). */
export function expandName(text: MacroString, values: MacroValues): string {
  let name = expandMacros(text, values).replace(/\.$/, '');
  while (name.length > MAX_NAME && name.includes('.')) name = name.slice(name.indexOf('.') + 1);
  return name;
}

function expandOne(part: Extract<MacroPart, { kind: 'macro' }>, values: MacroValues): string {
  const value = values[part.letter as keyof MacroValues];
  const split = new RegExp(`[${part.delimiters.replace(/[-\]\\^]/g, '\\$&')}]`);
  const labels = part.delimiters === '.' && part.keep === null && !part.reverse ? [value] : value.split(split);
  if (part.reverse) labels.reverse();
  const kept = (part.keep === null ? labels : labels.slice(-part.keep)).join('.');
  // Unreserved characters stay (RFC 3986 2.3).
  return part.escape ? encodeURIComponent(kept).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`) : kept;
}
