// Encrypted share by provider as bars, with what is published about the same provider as a mark on the same scale.

import type { ReactNode } from 'react';
import { count } from '#web/base/text.ts';

export type ProviderBar = { readonly name: string; readonly percent: number | null; readonly messages: number; readonly baseline: number | null };

export function ProviderBars({ label, bars }: { readonly label: string; readonly bars: readonly ProviderBar[] }): ReactNode {
  return (
    <ul className="grid gap-3" aria-label={label}>
      {bars.map(({ name, percent, messages, baseline }) => (
        <li key={name} className="grid items-center gap-x-4 gap-y-0.5 sm:grid-cols-[150px_1fr_190px]">
          <span className="truncate font-medium" title={name}>
            {name}
          </span>
          <svg viewBox="0 0 100 8" preserveAspectRatio="none" className="h-3 w-full" aria-hidden="true">
            <rect width="100" height="8" className="fill-sunken" />
            {percent !== null && <rect width={percent} height="8" className="fill-p587" />}
            {baseline !== null && <rect x={Math.min(baseline, 99.4) - 0.3} width="0.9" height="8" className="fill-ink" />}
          </svg>
          <span className="text-[13px] text-soft">
            {percent === null ? 'nothing yet' : `${Math.round(percent * 10) / 10} % of ${count(messages)}`}
            {baseline !== null && ` · published ${baseline} %`}
          </span>
        </li>
      ))}
    </ul>
  );
}
