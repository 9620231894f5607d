// How a sink behaves, put together from personalities and single rules. Two that want different things of the same knob are a mistake of whoever
// asked, and said so.

import type { Rule } from './act.ts';
import type { Fault } from './certificates.ts';
import type { SinkMechanism } from './mechanisms.ts';
import { knobsOf, rulesOf } from './personalities.ts';
import type { Chosen } from './personalities.ts';

/** What can be turned beside the rules. */
export type Knobs = {
  readonly bannerDelayMs?: number;
  readonly replyDelayMs?: number;
  readonly trickleMs?: number;
  readonly readBytesPerSecond?: number;
  readonly acceptDelayMs?: number;
  /** Extensions that are neither offered nor understood. */
  readonly without?: readonly string[];
  /** What becomes of a TLS handshake. */
  readonly handshake?: 'stall' | 'garbage' | 'plain' | 'inject';
  readonly tlsRequired?: boolean;
  readonly tlsVersions?: '1.2' | 'old';
  readonly certificate?: Fault;
  readonly auth?: boolean;
  readonly authInClear?: boolean;
  readonly mechanisms?: readonly SinkMechanism[];
  readonly recipients?: number;
  readonly sizeBytes?: number;
  readonly dropAfterBytes?: number;
  readonly loseReply?: boolean;
  readonly lineEnds?: 'lf';
};

/** `names`: as they were asked for. The first rule that holds is the one that counts. */
export type Behaviour = { readonly names: readonly string[]; readonly knobs: Knobs; readonly rules: readonly Rule[] };

/** Who wants what that does not go together. */
export type Conflict = { readonly knob: string; readonly one: string; readonly other: string };

/** Single rules come before those of the personalities. */
export function behaviourOf(chosen: readonly Chosen[], rules: readonly Rule[]): Behaviour | Conflict {
  const knobs = new Map<string, { readonly value: unknown; readonly by: string }>();
  for (const one of chosen) {
    for (const [knob, value] of Object.entries(knobsOf(one))) {
      const known = knobs.get(knob);
      if (knob === 'without') knobs.set(knob, { value: [...new Set([...((known?.value ?? []) as string[]), ...(value as string[])])], by: one.personality.name });
      else if (known !== undefined && JSON.stringify(known.value) !== JSON.stringify(value)) return { knob, one: known.by, other: one.personality.name };
      else knobs.set(knob, { value, by: one.personality.name });
    }
  }
  return {
    names: chosen.map(({ personality, text }) => (personality.value === undefined ? personality.name : `${personality.name}=${text}`)),
    knobs: Object.fromEntries([...knobs].map(([knob, { value }]) => [knob, value])) as Knobs,
    rules: [...rules, ...chosen.flatMap(rulesOf)],
  };
}
