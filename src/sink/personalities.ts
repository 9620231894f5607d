// The personalities of a sink: what a test may ask it to do wrong, by name, each with what it shows of the client. Data; a row is all it takes
// to add one.

import { parseAct } from './act.ts';
import type { Rule, Step, When } from './act.ts';
import type { Knobs } from './behaviour.ts';
import data from './personalities.json' with { type: 'json' };

export type Unit = 'count' | 'duration' | 'size' | 'percent' | 'pattern';

export type Personality = {
  readonly name: string;
  readonly group: string;
  /** What it does. */
  readonly summary: string;
  /** What one learns of the client by it. */
  readonly shows: string;
  /** What may stand behind `=`. `default` is written as people write it. */
  readonly value?: { readonly unit: Unit; readonly default: string; readonly means: string };
  /** `$` stands for the value. */
  readonly rules?: readonly { readonly step: string; readonly act: string; readonly pattern?: string; readonly when?: string }[];
  readonly knobs?: Readonly<Record<string, unknown>>;
};

export const PERSONALITIES = data as readonly Personality[];

/** A personality with its value: `text` as it was given, `number` in milliseconds, bytes or whatever its unit counts. */
export type Chosen = { readonly personality: Personality; readonly text: string; readonly number: number };

export function rulesOf({ personality, text, number }: Chosen): Rule[] {
  return (personality.rules ?? []).map((row) => {
    const step = row.step as Step;
    const act = parseAct(row.act.replaceAll('$', text), step);
    if (act === null) throw new Error(`the personality ${personality.name} has an act that cannot be read: ${row.act}`);
    return { step, pattern: row.pattern?.replaceAll('$', text) ?? null, when: whenOf(row.when, number), act, from: personality.name };
  });
}

export function knobsOf({ personality, number }: Chosen): Knobs {
  return Object.fromEntries(Object.entries(personality.knobs ?? {}).map(([name, value]) => [name, value === '$' ? number : value])) as Knobs;
}

function whenOf(word: string | undefined, number: number): When {
  switch (word) {
    case undefined:
      return { is: 'always' };
    case 'new':
      return { is: 'new', ms: number };
    case 'over-connections':
    case 'after-messages':
      return { is: word, count: number };
    case 'over-rate':
      return { is: 'over-rate', perMinute: number };
    case 'chance':
      return { is: 'chance', percent: number };
    default:
      throw new Error(`a personality says "when": ${JSON.stringify(word)}, which means nothing`);
  }
}
