// Test suites by others, beside the project and not part of it: found, read and parsed. Whoever runs without them is told so, loudly.

import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';

const FOLDER = fileURLToPath(new URL('../../../shared/vectors', import.meta.url));

/** The documents of a YAML suite; null, and a notice on standard error, when it is not there. A key that comes twice counts with its last value. */
export function readSuite<T>(path: string): readonly T[] | null {
  const file = `${FOLDER}/${path}`;
  if (!existsSync(file)) {
    const line = '!'.repeat(100);
    process.stderr.write(`\n${line}\n! ${file} is not there: ITS CASES DID NOT RUN.\n! Put the suite there (its source stands in docs/inbound.md) and run again.\n${line}\n\n`);
    return null;
  }
  return parseAllDocuments(readFileSync(file, 'utf8'), { uniqueKeys: false }).map((document) => document.toJS() as T);
}
