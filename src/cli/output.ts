// How commands speak: people's text and tables, or one JSON document. With --json standard output carries that document alone, and what
// is for people goes to standard error.

import { stripVTControlCharacters, styleText } from 'node:util';
import { columnsOf, cut, pad } from './width.ts';

export type Output = {
  text(text: string): void;
  json(value: unknown): void;
  /** Columns as wide as they must be; on a terminal cut to its width. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void;
  /** A remark beside the answer. */
  note(text: string): void;
  /** The JSON document is written: there is no second one. */
  readonly answered: boolean;
};

type Stream = { write(text: string): unknown; readonly isTTY?: boolean; readonly columns?: number };

const GAP = '  ';
/** A column of this width is an id or a time, which is of no use in part. */
const WHOLE = 20;
const LEAST = 8;

/** `json` is asked at each use: options are known only once they are parsed. */
export function openOutput(options: { readonly json: () => boolean; readonly stdout?: Stream; readonly stderr?: Stream }): Output {
  const stdout = options.stdout ?? process.stdout;
  const stderr = options.stderr ?? process.stderr;
  const people = (): Stream => (options.json() ? stderr : stdout);
  let answered = false;
  return {
    get answered() {
      return answered;
    },
    text: (text) => void people().write(`${safe(text)}\n`),
    json(value) {
      answered = true;
      stdout.write(`${JSON.stringify(value, null, stdout.isTTY === true ? 2 : undefined)}\n`);
    },
    table: (head, rows) =>
      void people().write(
        formatTable(
          head,
          rows.map((row) => row.map(safe)),
          people(),
        ),
      ),
    note: (text) => void stderr.write(`${stderr.isTTY === true ? styleText('dim', safe(text)) : safe(text)}\n`),
  };
}

/** Nothing that came by mail may steer the terminal. */
export function safe(text: string): string {
  return stripVTControlCharacters(text).replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, '?');
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[], stream: Stream): string {
  const natural = head.map((title, column) => Math.max(columnsOf(title), ...rows.map((row) => columnsOf(row[column] ?? ''))));
  const widths = stream.isTTY === true ? fitted(natural, stream.columns ?? 80) : natural;
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => pad(cut(cell, widths[column] ?? 0), widths[column] ?? 0))
      .join(GAP)
      .trimEnd();
  const title = line(head);
  return `${[stream.isTTY === true ? styleText('bold', title) : title, ...rows.map(line)].join('\n')}\n`;
}

/** Columns that fit the terminal together: the widest give way first; ids, times and numbers stay whole. */
function fitted(natural: readonly number[], terminal: number): number[] {
  const widths = [...natural];
  let over = widths.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - terminal;
  while (over > 0) {
    const widest = Math.max(...widths);
    if (widest <= LEAST) break;
    const at = widths.findLastIndex((width, column) => width === widest && (natural[column] ?? 0) > WHOLE);
    const any = at === -1 ? widths.findLastIndex((width, column) => (natural[column] ?? 0) > WHOLE && width > LEAST) : at;
    if (any === -1) break;
    widths[any] = (widths[any] ?? 0) - 1;
    over--;
  }
  return widths;
}
