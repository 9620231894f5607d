// On which line of a TOML file each key stands, for error messages and origins. Reads no values; keys inside inline tables are found on the
// line of the table.

/** Paths like `queue.max_age` and `listener.0.port`, with their line from 1. */
export function findLines(toml: string): Map<string, number> {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let table = '';
  let multiline: string | null = null;
  toml.split(/\r?\n/).forEach((line, i) => {
    const note = (path: string): void => {
      if (!lines.has(path)) lines.set(path, i + 1);
    };
    if (multiline !== null) {
      if (line.includes(multiline)) multiline = null;
      return;
    }
    const list = /^\s*\[\[\s*([^\]]+?)\s*\]\]/.exec(line);
    const header = list === null ? /^\s*\[\s*([^\]]+?)\s*\]/.exec(line) : null;
    const key = /^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=(.*)$/.exec(line);
    if (list !== null) {
      const name = plain(list[1] ?? '');
      const n = counts.get(name) ?? 0;
      counts.set(name, n + 1);
      table = `${name}.${n}`;
      note(name);
      note(table);
    } else if (header !== null) {
      table = plain(header[1] ?? '');
      note(table);
    } else if (key !== null) {
      const path = `${table === '' ? '' : `${table}.`}${plain(key[1] ?? '')}`;
      note(path);
      multiline = opens(key[2] ?? '');
    }
  });
  return lines;
}

/** The line of a path, or of the nearest table around it. */
export function lineOf(lines: ReadonlyMap<string, number>, path: string): number | null {
  for (let at = path; at !== ''; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
    const line = lines.get(at);
    if (line !== undefined) return line;
  }
  return null;
}

function plain(key: string): string {
  return key
    .split('.')
    .map((part) => part.trim().replace(/^["']|["']$/g, ''))
    .join('.');
}

/** The delimiter of a multi-line string that this value opens and does not close. */
function opens(value: string): string | null {
  for (const quotes of ['"""', "'''"]) {
    const at = value.indexOf(quotes);
    if (at !== -1 && !value.includes(quotes, at + 3)) return quotes;
  }
  return null;
}
