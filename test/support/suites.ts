// Test suites by others, beside the project and not part of it: found, read and parsed. Whoever runs without them is told so, loudly.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMap, parseAllDocuments } from 'yaml';
import type { Document } from 'yaml';

const FOLDER = fileURLToPath(new URL('../../../shared/vectors', import.meta.url));

/**
 * The documents of all YAML suites of one kind (`spf/*.yml`); null, and a notice on standard error, when there is none. The maps that `lists`
 * names come as lists of [key, value], because a suite may have a key twice and mean both.
 */
export function readSuites<T>(pattern: string, lists: readonly string[] = []): readonly T[] | null {
  const files = existsSync(FOLDER) ? globSync(pattern, { cwd: FOLDER }).toSorted((a, b) => a.localeCompare(b)) : [];
  if (files.length === 0) {
    const line = '!'.repeat(100);
    process.stderr.write(
      `\n${line}\n! ${FOLDER}/${pattern} is not there: ITS CASES DID NOT RUN.\n! Put the suite there (docs/inbound.md tells where it is from) and run again.\n${line}\n\n`,
    );
    return null;
  }
  return files.flatMap((file) => {
    return parseAllDocuments(readFileSync(`${FOLDER}/${file}`, 'utf8'), { uniqueKeys: false }).map((document) => {
      const whole = document.toJS() as Record<string, unknown>;
      for (const key of lists) whole[key] = pairsOf(document, key);
      return whole as T;
    });
  });
}

function pairsOf(document: Document, key: string): [string, unknown][] {
  const map = document.get(key);
  if (!isMap(map)) throw new TypeError(`${key} is no map`);
  return map.items.map((pair) => [String(pair.key), (pair.value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null]);
}
