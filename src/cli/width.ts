// Text by the columns it takes on a terminal: wide characters take two, marks that combine none. Cut between characters as people see them.

const GRAPHEMES = new Intl.Segmenter('und', { granularity: 'grapheme' });
const WIDE =
  /^(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f1e6}-\u{1f1ff}\u{20000}-\u{3fffd}])/u;
const NOTHING = /^[\p{M}\p{Cf}]*$/u;
/** Most text: a column a character. */
const SIMPLE = /^[\x20-\x7e]*$/;

/** The columns this text takes. */
export function columnsOf(text: string): number {
  if (SIMPLE.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of GRAPHEMES.segment(text)) columns += widthOf(segment);
  return columns;
}

/** Cut to so many columns, with an ellipsis. */
export function cut(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text;
  let out = '';
  let taken = 1;
  for (const { segment } of GRAPHEMES.segment(text)) {
    taken += widthOf(segment);
    if (taken > columns) break;
    out += segment;
  }
  return `${out}…`;
}

/** Filled with spaces to so many columns. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - columnsOf(text)));
}

function widthOf(grapheme: string): number {
  if (WIDE.test(grapheme)) return 2;
  return NOTHING.test(grapheme) ? 0 : 1;
}
