// Which rule of a sink holds at a step: the first whose pattern and condition do. Asks the memory of the sink, and changes nothing else.

import { actOfAddress, matches } from './act.ts';
import type { Act, Rule, Step } from './act.ts';
import type { World } from './world.ts';

/** What a step is about. `names`: addresses or a name to compare patterns with; `key`: who greylisting means. */
export type Subject = { readonly names: readonly string[]; readonly locals?: readonly string[]; readonly key?: string; readonly messages: number };

export type Decision = { readonly act: Act; readonly from: string };

export function decide(world: World, step: Step, subject: Subject): Decision | null {
  for (const rule of world.settings.behaviour.rules) {
    if (rule.step !== step) continue;
    if (rule.pattern !== null && !subject.names.some((name) => matches(rule.pattern, name))) continue;
    if (!holds(world, rule, subject)) continue;
    if (rule.act.do !== 'by-address') return { act: rule.act, from: rule.from };
    for (const local of subject.locals ?? []) {
      const act = actOfAddress(local, step);
      if (act !== null) return { act, from: rule.from };
    }
  }
  return null;
}

function holds(world: World, { when }: Rule, { key, messages }: Subject): boolean {
  switch (when.is) {
    case 'always':
      return true;
    case 'new':
      return world.isNew(key ?? '', when.ms);
    case 'over-connections':
      return world.admitted > when.count;
    case 'after-messages':
      return messages >= when.count;
    case 'over-rate':
      return world.overRate(when.perMinute);
    case 'chance':
      return world.chance() * 100 < when.percent;
  }
}
