// What was asked of a sink on the command line, read: personalities with their values, single rules. Whoever writes something else is told what
// there is.

import { parseDuration, parseSize } from '#config/units.ts';
import { STEPS, parseAct } from '#sink/act.ts';
import type { Rule, Step } from '#sink/act.ts';
import { behaviourOf } from '#sink/behaviour.ts';
import type { Behaviour } from '#sink/behaviour.ts';
import { PERSONALITIES } from '#sink/personalities.ts';
import type { Chosen, Personality, Unit } from '#sink/personalities.ts';
import { usage } from '#cli/values.ts';

/** Reads `--personality` (each may hold several, with commas) and `--reply`. */
export function readBehaviour(personalities: readonly string[], replies: readonly string[]): Behaviour {
  const names = personalities.flatMap((text) => text.split(',')).map((text) => text.trim());
  const behaviour = behaviourOf(names.filter((name) => name !== '').map(readPersonality), replies.map(readRule));
  if ('knob' in behaviour) {
    const { one, other } = behaviour;
    if (one === other) throw usage(`The personality ${one} was asked for twice, with two values.`, 'Give it once.');
    throw usage(`The personalities ${one} and ${other} do not go together.`, 'Leave one of them out, or start a second sink for it.');
  }
  return behaviour;
}

function readPersonality(text: string): Chosen {
  const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(text) ?? [];
  const personality = PERSONALITIES.find((one) => one.name === name);
  if (personality === undefined) throw usage(`There is no personality ${JSON.stringify(name)}.`, nearest(name));
  if (personality.value === undefined) {
    if (value !== undefined) throw usage(`The personality ${name} takes no value.`, `Write --personality ${name}.`);
    return { personality, text: '', number: 0 };
  }
  const written = value ?? personality.value.default;
  const number = readValue(written, personality.value.unit);
  if (number === null) {
    const { means, default: usual } = personality.value;
    throw usage(
      `The value of ${name}, ${JSON.stringify(written)}, cannot be read: it is ${UNITS[personality.value.unit]} (${means}).`,
      `Write it like --personality ${name}=${usual}.`,
    );
  }
  return { personality, text: written, number };
}

const UNITS: Readonly<Record<Unit, string>> = {
  count: 'a number from 1',
  duration: 'a duration like 500ms, 10s or 2m',
  size: 'a size like 500, 10kB or 5MB',
  percent: 'a number from 1 to 100',
  pattern: 'a pattern like *@example.com',
};
const LONGEST_MS = 3_600_000;

function readValue(text: string, unit: Unit): number | null {
  switch (unit) {
    case 'pattern':
      return text === '' ? null : 0;
    case 'duration': {
      const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
      return ms === null || ms < 1 || ms > LONGEST_MS ? null : ms;
    }
    case 'size': {
      const bytes = parseSize(text);
      return bytes === null || bytes < 1 ? null : bytes;
    }
    case 'count':
    case 'percent': {
      const number = Number(text);
      return /^\d{1,9}$/.test(text) && number >= 1 && (unit === 'count' || number <= 100) ? number : null;
    }
  }
}

/** `STEP[:PATTERN]=ACT`, or `PATTERN=ACT` for recipients. */
function readRule(text: string): Rule {
  const equals = text.indexOf('=');
  const left = text.slice(0, Math.max(equals, 0)).trim();
  const colon = left.indexOf(':');
  const word = (colon === -1 ? left : left.slice(0, colon)).toLowerCase();
  const step = isStep(word) ? word : left.includes('@') || left.includes('*') ? 'rcpt' : null;
  const how = 'Write it like --reply "rcpt:*@example.com=550 5.1.1 No such user"; see "postern sink --help".';
  if (equals === -1 || step === null) throw usage(`--reply ${JSON.stringify(text)} names no step of a session (${STEPS.join(', ')}).`, how);
  const pattern = isStep(word) ? (colon === -1 ? null : left.slice(colon + 1)) : left;
  const act = parseAct(text.slice(equals + 1).trim(), step);
  if (act === null) throw usage(`What --reply ${JSON.stringify(text)} says is neither a reply (a code from 200 to 599 first) nor drop, reset or stall.`, how);
  return { step, pattern, when: { is: 'always' }, act, from: '--reply' };
}

function isStep(word: string): word is Step {
  return (STEPS as readonly string[]).includes(word);
}

/** The personalities that look most like it. */
function nearest(name: string): string {
  const letters = name.toLowerCase();
  const close = PERSONALITIES.filter(
    (one) => letters.length > 2 && (one.name.includes(letters) || letters.includes(one.name) || one.name.split('-').some((part) => part.length > 3 && letters.includes(part))),
  );
  const hint =
    close.length === 0
      ? ''
      : `Is it ${close
          .slice(0, 4)
          .map((one) => one.name)
          .join(', ')}? `;
  return `${hint}"postern sink --list" has them all.`;
}

/** All of them, in groups, as `--list` shows them. */
export function listText(columns: number): string {
  const groups = [...new Set(PERSONALITIES.map(({ group }) => group))];
  const width = Math.max(...PERSONALITIES.map((one) => title(one).length)) + 2;
  const blocks = groups.map((group) => {
    const rows = PERSONALITIES.filter((one) => one.group === group).flatMap((one) => {
      const [first = '', ...more] = wrapped(`${one.summary} ${means(one)}`.trim(), columns - width - 2);
      const shown = wrapped(one.shows, columns - width - 4).map((line) => `${' '.repeat(width + 2)}> ${line}`);
      return [`  ${title(one).padEnd(width)}${first}`, ...more.map((line) => `${' '.repeat(width + 2)}${line}`), ...shown];
    });
    return `${group}\n${rows.join('\n')}`;
  });
  return `${blocks.join('\n\n')}\n\n> says what one learns of the client by it. Several go together: --personality greylist=10s,size=1MB,no-chunking`;
}

function title({ name, value }: Personality): string {
  return value === undefined ? name : `${name}=${value.default}`;
}

function means({ value }: Personality): string {
  return value === undefined ? '' : `(${value.means})`;
}

function wrapped(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
