// The pages of docs/ that are made from the code, and what writes them (`npm run docs`). A test holds the committed pages against this.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { commandsReference } from '#cli/reference.ts';
import { personalitiesReference } from '#cli/sink/reference.ts';
import { configurationReference } from '#config/reference.ts';
import { zooPage } from '../test/zoo/page.ts';

/** The pages by name, each with what makes its text. */
export const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  'commands.md': commandsReference,
  'personalities.md': personalitiesReference,
  'configuration.md': configurationReference,
  'zoo.md': zooPage,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const docs = fileURLToPath(new URL('../docs', import.meta.url));
  for (const [name, make] of Object.entries(PAGES)) {
    writeFileSync(join(docs, name), await make());
    process.stdout.write(`docs/${name}\n`);
  }
}
