// Counts over time as stacked columns, one a bucket; the numbers of one column are said below it, and all of them are in a table.

import { useId, useState } from 'react';
import type { ReactNode } from 'react';
import { count, dateTime } from '#web/base/text.ts';
import { useWidth } from './width.ts';

export type Series = { readonly key: string; readonly name: string; readonly fill: string; readonly dot: string };
export type Column = { readonly at: string; readonly values: Readonly<Record<string, number>> };

/** Until it is known how wide it is. */
const FIRST_WIDTH = 720;
const HEIGHT = 170;
const LEFT = 44;
const BOTTOM = 20;
/** What a label under the columns needs. */
const LABEL_PX = 90;

export function Columns({
  title,
  series,
  columns,
  label,
}: {
  readonly title: string;
  readonly series: readonly Series[];
  readonly columns: readonly Column[];
  readonly label: (at: string) => string;
}): ReactNode {
  const id = useId();
  const [at, setAt] = useState<number | null>(null);
  const sums = columns.map(({ values }) => series.reduce((sum, { key }) => sum + (values[key] ?? 0), 0));
  const most = ceiling(Math.max(1, ...sums));
  const [figure, width] = useWidth(FIRST_WIDTH);
  const step = (width - LEFT) / Math.max(columns.length, 1);
  const plot = HEIGHT - BOTTOM - 6;
  const every = Math.max(1, Math.ceil(columns.length / ((width - LEFT) / LABEL_PX)));
  const shown = at === null ? null : columns[at];
  return (
    <figure ref={figure} className="min-w-0" aria-labelledby={id}>
      <figcaption id={id} className="sr-only">
        {title}
      </figcaption>
      <ul className="mb-1 flex flex-wrap gap-x-4 gap-y-1 text-[13px]" aria-label="Colours">
        {series.map(({ key, name, dot }) => (
          <li key={key} className="flex items-center gap-1.5">
            <span className={`size-2.5 rounded-[3px] ${dot}`} aria-hidden="true" />
            {name}
          </li>
        ))}
      </ul>
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        width={width}
        height={HEIGHT}
        className="max-w-full"
        role="img"
        aria-label={`${title}. The numbers are in the table below.`}
        onMouseLeave={() => setAt(null)}
      >
        {[0, most / 2, most].map((tick) => {
          const y = 6 + plot * (1 - tick / most);
          return (
            <g key={tick}>
              <line x1={LEFT} x2={width} y1={y} y2={y} className="stroke-line" />
              <text x={LEFT - 6} y={y + 4} textAnchor="end" className="fill-soft text-[11px]">
                {count(tick)}
              </text>
            </g>
          );
        })}
        {columns.map((column, i) => {
          let top = 6 + plot;
          const x = LEFT + step * i;
          return (
            <g key={column.at} onMouseEnter={() => setAt(i)} className={at === null || at === i ? '' : 'opacity-45'}>
              <rect x={x} y={0} width={step} height={HEIGHT} className="fill-transparent" />
              {series.map(({ key, fill }) => {
                const height = (plot * (column.values[key] ?? 0)) / most;
                top -= height;
                return height === 0 ? null : <rect key={key} x={x + step * 0.1} y={top} width={Math.max(step * 0.8, 1)} height={height} className={fill} />;
              })}
              {i % every === 0 && (
                <text x={x} y={HEIGHT - 5} className="fill-soft text-[11px]">
                  {label(column.at)}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      <p className="min-h-5 text-[13px] text-soft">
        {shown !== null && shown !== undefined && (
          <>
            <span className="font-medium text-ink">{dateTime(shown.at)}</span>
            {series.map(({ key, name }) => ` · ${name}: ${count(shown.values[key] ?? 0)}`).join('')}
          </>
        )}
      </p>
      <details className="text-[13px]">
        <summary className="cursor-pointer text-soft hover:text-ink">As a table</summary>
        <div className="max-h-72 overflow-auto" tabIndex={0} role="group" aria-label={`${title}, as a table`}>
          <table className="rows mt-1">
            <thead>
              <tr>
                <th scope="col">From</th>
                {series.map(({ key, name }) => (
                  <th scope="col" key={key}>
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {columns
                .filter((_, i) => (sums[i] ?? 0) > 0)
                .map((column) => (
                  <tr key={column.at}>
                    <td>{dateTime(column.at)}</td>
                    {series.map(({ key }) => (
                      <td key={key}>{count(column.values[key] ?? 0)}</td>
                    ))}
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

/** The next round number, so that the axis reads well and does not jump with every message. */
function ceiling(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const step = [1, 2, 4, 5, 10].find((one) => one * power >= value) ?? 10;
  return Math.max(2, step * power);
}
