// docs/personalities.md: every personality of the sink on one page. Nothing of it is written by hand.

import { PERSONALITIES } from '#sink/personalities.ts';
import type { Personality } from '#sink/personalities.ts';

const HEAD = `<!-- Made by "npm run docs" from src/sink/personalities.json: change that, then make it again. -->
# Personalities of the sink

What \`postern sink --personality NAME\` does wrong, and what one learns of a client by it; \`postern sink --list\` shows the same. Several go together, with
commas. Behind \`=\` stands what is taken where nothing else is said. How the sink is used: [testing mail](testing-mail.md).
`;

/** The page, whole. */
export function personalitiesReference(): string {
  const groups = [...new Set(PERSONALITIES.map(({ group }) => group))];
  const parts = groups.map(
    (group) =>
      `## ${group}\n| personality | what it does | what it shows |\n|---|---|---|\n${PERSONALITIES.filter((one) => one.group === group)
        .map(row)
        .join('')}`,
  );
  return [HEAD, ...parts].join('\n');
}

function row({ name, value, summary, shows }: Personality): string {
  const written = value === undefined ? name : `${name}=${value.default}`;
  return `| \`${written}\` | ${summary}${value === undefined ? '' : ` (${value.means})`} | ${shows} |\n`;
}
