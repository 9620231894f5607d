// The documentation as tests read it: pages, their tables, and what stands in backticks. Knows as much Markdown as these pages use.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** One row of a table: its cells by the title of their column. */
export type TableRow = Readonly<Record<string, string>>;

/** A page of the repository, by its path from the root. */
export function page(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** All pages: those at the root and everything under docs/. */
export function pages(): string[] {
  const under = (dir: string): string[] => readdirSync(join(ROOT, dir), { recursive: dir !== '.' }).map((name) => (dir === '.' ? String(name) : join(dir, String(name))));
  return [...under('.'), ...under('docs')].filter((path) => path.endsWith('.md')).toSorted();
}

/** The rows of every table of a page that has this first column. */
export function tableRows(text: string, firstColumn: string): TableRow[] {
  const rows: TableRow[] = [];
  let titles: string[] | null = null;
  for (const line of text.split('\n')) {
    if (!line.startsWith('|')) {
      titles = null;
      continue;
    }
    const cells = cellsOf(line);
    if (titles === null) titles = cells;
    else if (titles[0] === firstColumn && !cells.every((cell) => /^:?-+:?$/.test(cell))) rows.push(Object.fromEntries(titles.map((title, i) => [title, cells[i] ?? ''])));
  }
  return rows;
}

/** What stands in backticks, in order. */
export function codes(text: string): string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? '');
}

/** `\|` is a pipe inside a cell. */
function cellsOf(line: string): string[] {
  return line
    .replace(/^\||\|\s*$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/** The text of every source file under src/. */
export function sources(): string[] {
  return files('src').map(page);
}

/** The TypeScript files under a folder, by their paths from the root. */
export function files(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((name) => name.endsWith('.ts'))
    .toSorted();
}
