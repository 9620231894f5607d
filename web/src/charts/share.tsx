// Shares of the four ports as stacked columns, one a period, each summing to 100. The numbers are also there as a table, for those who read.

import { useId, useState } from 'react';
import type { ReactNode } from 'react';
import { PORTS } from './baseline.ts';
import type { PortName, Share } from './baseline.ts';
import { useWidth } from './width.ts';

const FILLS: Readonly<Record<PortName, string>> = { '587': 'fill-p587', '465': 'fill-p465', '25': 'fill-p25', '2525': 'fill-p2525' };
const DOTS: Readonly<Record<PortName, string>> = { '587': 'bg-p587', '465': 'bg-p465', '25': 'bg-p25', '2525': 'bg-p2525' };
/** Until it is known how wide it is. */
const FIRST_WIDTH = 520;
const HEIGHT = 200;
const LEFT = 34;
const BOTTOM = 22;
/** What a label under the columns needs. */
const LABEL_PX = 55;

export function PortLegend(): ReactNode {
  return (
    <ul className="flex flex-wrap gap-x-4 gap-y-1 text-[13px]" aria-label="Colours of the ports">
      {PORTS.map((port) => (
        <li key={port} className="flex items-center gap-1.5">
          <span className={`size-2.5 rounded-[3px] ${DOTS[port]}`} aria-hidden="true" />
          {port}
        </li>
      ))}
    </ul>
  );
}

export function ShareColumns({ title, rows, unit = '%' }: { readonly title: string; readonly rows: readonly Share[]; readonly unit?: string }): ReactNode {
  const id = useId();
  const [at, setAt] = useState<number | null>(null);
  const [figure, width] = useWidth(FIRST_WIDTH);
  const step = (width - LEFT) / Math.max(rows.length, 1);
  const column = Math.min(step * 0.72, 44);
  const plot = HEIGHT - BOTTOM - 6;
  const every = Math.max(1, Math.ceil(rows.length / ((width - LEFT) / LABEL_PX)));
  const shown = at === null ? rows.at(-1) : rows[at];
  return (
    <figure ref={figure} className="min-w-0" aria-labelledby={id}>
      <figcaption id={id} className="mb-1 text-[13px] font-medium">
        {title}
      </figcaption>
      <svg
        viewBox={`0 0 ${width} ${HEIGHT}`}
        width={width}
        height={HEIGHT}
        className="max-w-full"
        role="img"
        aria-label={`${title}. The numbers are in the table below.`}
        onMouseLeave={() => setAt(null)}
      >
        {[0, 25, 50, 75, 100].map((tick) => {
          const y = 6 + plot * (1 - tick / 100);
          return (
            <g key={tick}>
              <line x1={LEFT} x2={width} y1={y} y2={y} className="stroke-line" />
              <text x={LEFT - 6} y={y + 4} textAnchor="end" className="fill-soft text-[11px]">
                {tick}
              </text>
            </g>
          );
        })}
        {rows.map((row, i) => {
          const x = LEFT + step * i + (step - column) / 2;
          const sum = PORTS.reduce((total, port) => total + row.values[port], 0);
          let top = 6 + plot;
          return (
            <g key={row.label} onMouseEnter={() => setAt(i)} className={at === null || at === i ? '' : 'opacity-45'}>
              <rect x={LEFT + step * i} y={0} width={step} height={HEIGHT} className="fill-transparent" />
              {PORTS.map((port) => {
                const height = sum === 0 ? 0 : (plot * row.values[port]) / sum;
                top -= height;
                return <rect key={port} x={x} y={top} width={column} height={Math.max(0, height - 1)} rx="1.5" className={FILLS[port]} />;
              })}
              {(rows.length - 1 - i) % every === 0 && (
                <text x={x + column / 2} y={HEIGHT - 6} textAnchor="middle" className="fill-soft text-[11px]">
                  {row.label}
                </text>
              )}
            </g>
          );
        })}
      </svg>
      {shown !== undefined && (
        <p className="mt-1 text-[13px] text-soft">
          <span className="font-medium text-ink">{shown.label}</span>
          {' · '}
          {PORTS.map((port) => `${port}: ${Math.round(shown.values[port] * 10) / 10}${unit === '%' ? ' %' : ` ${unit}`}`).join(' · ')}
        </p>
      )}
      <details className="mt-1 text-[13px]">
        <summary className="cursor-pointer text-soft hover:text-ink">As a table</summary>
        <table className="rows mt-1">
          <thead>
            <tr>
              <th scope="col">Period</th>
              {PORTS.map((port) => (
                <th scope="col" key={port}>
                  {port}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.label}>
                <td>{row.label}</td>
                {PORTS.map((port) => (
                  <td key={port}>
                    {Math.round(row.values[port] * 10) / 10} {unit}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}
