// What is made from the code and committed: pages of docs/, and the dashboard's types of the API; and what writes them (`npm run docs`). A test
// holds the committed files against this.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { commandsReference } from '#cli/reference.ts';
import { personalitiesReference } from '#cli/sink/reference.ts';
import { configurationReference } from '#config/reference.ts';
import { zooPage } from '../test/zoo/page.ts';
import { dashboardSchema } from './schema.ts';

/** By path, each with what makes its text. */
export const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  'docs/commands.md': commandsReference,
  'docs/personalities.md': personalitiesReference,
  'docs/configuration.md': configurationReference,
  'docs/zoo.md': zooPage,
  'web/src/api/schema.ts': dashboardSchema,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  for (const [path, make] of Object.entries(PAGES)) {
    writeFileSync(join(root, path), await make());
    process.stdout.write(`${path}\n`);
  }
}
