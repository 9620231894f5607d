// The page of the zoo: every animal with what it is built from and what the doctor says of it. Made from the rows themselves (npm run docs).

import type { Animal } from './animal.ts';
import { ANIMALS } from './list.ts';
import { softwareOf } from './software.ts';

export function zooPage(): string {
  const faulty = ANIMALS.filter(({ fault }) => fault !== null);
  const healthy = ANIMALS.filter(({ fault }) => fault === null);
  return `<!-- Made by "npm run docs" from test/zoo/animals; changes here are lost. -->
# The fault zoo

Whether the [doctor](doctor.md) is right is shown on servers and domains that are wrong: ${faulty.length} with one planted fault each, and ${healthy.length} healthy ones, built from
real software on loopback. The doctor, run as its users run it, has to name each fault by the finding that stands here, with evidence, cause and fix, and to find nothing else.
\`npm run zoo\` prints what it said of each; \`npm test\` fails when it was wrong.

| server | built from | planted fault | named by | as |
|---|---|---|---|---|
${faulty.map(row).join('\n')}

## Healthy
Nothing may be found, not even something to look at.

| server | built from |
|---|---|
${healthy.map((animal) => `| \`${animal.name}\` | ${softwareOf(animal)} |`).join('\n')}
`;
}

function row(animal: Animal): string {
  return `| \`${animal.name}\` | ${softwareOf(animal)} | ${animal.fault} | \`${animal.expect?.check}\` | ${animal.expect?.status} |`;
}
