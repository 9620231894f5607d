// How commands speak: people's text and tables, or one JSON document. With --json standard output carries that document alone, and what
// is for people goes to standard error.

import { stripVTControlCharacters, styleText } from 'node:util';

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
  return stripVTControlCharacters(text).replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, '?');
}

function formatTable(head: readonly string[], rows: readonly (readonly string[])[], stream: Stream): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const width = stream.isTTY === true ? (stream.columns ?? 80) : Infinity;
  const line = (cells: readonly string[]): string => {
    const text = cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join(GAP)
      .trimEnd();
    return text.length > width ? `${text.slice(0, width - 1)}…` : text;
  };
  const title = line(head);
  return `${[stream.isTTY === true ? styleText('bold', title) : title, ...rows.map(line)].join('\n')}\n`;
}
