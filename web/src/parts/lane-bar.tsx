// A lane's depth as a bar of its states, with the numbers beside it.

import type { ReactNode } from 'react';
import { count } from '#web/base/text.ts';
import type { Lane } from '#web/api/schema.ts';

const STATES = [
  ['ready', 'ready', 'fill-p465', 'bg-p465'],
  ['leased', 'being sent', 'fill-p587', 'bg-p587'],
  ['deferred', 'deferred', 'fill-p2525', 'bg-p2525'],
  ['held', 'held', 'fill-line-strong', 'bg-line-strong'],
] as const;

export function LaneLegend(): ReactNode {
  return (
    <ul className="flex flex-wrap items-center gap-x-3 text-[12px] text-soft" aria-label="Colours">
      {STATES.map(([state, name, , dot]) => (
        <li key={state} className="flex items-center gap-1">
          <span className={`size-2 rounded-full ${dot}`} aria-hidden="true" />
          {name}
        </li>
      ))}
    </ul>
  );
}

export function LaneBar({ lane, most }: { readonly lane: Lane; /** The deepest lane: the bar is drawn to its scale. */ readonly most?: number }): ReactNode {
  const total = lane.ready + lane.leased + lane.deferred + lane.held;
  const scale = Math.max(most ?? total, 1);
  let x = 0;
  return (
    <span className="block min-w-0 flex-1">
      <svg viewBox="0 0 100 6" preserveAspectRatio="none" className="h-2 w-full overflow-hidden rounded-full" aria-hidden="true">
        <rect width="100" height="6" rx="1" className="fill-sunken" />
        {STATES.map(([state, , fill]) => {
          const width = (100 * lane[state]) / scale;
          const at = x;
          x += width;
          return width === 0 ? null : <rect key={state} x={at} width={width} height="6" className={fill} />;
        })}
      </svg>
      <span className="text-[12px] text-soft">
        {STATES.filter(([state]) => lane[state] > 0)
          .map(([state, name]) => `${count(lane[state])} ${name}`)
          .join(', ')}
      </span>
    </span>
  );
}
