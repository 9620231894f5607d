// What was said on a connection, line by line: who said it, and when since it was begun. Secrets are out of it before it is kept.

import type { ReactNode } from 'react';
import type { Transcript as Said } from '#web/api/schema.ts';
import { span } from '#web/base/text.ts';

const SPEAKERS = { '>': 'we said', '<': 'they said', '*': 'what happened' } as const;
const LOOKS = { '>': 'text-ink', '<': 'text-accent-strong', '*': 'text-soft italic' } as const;

export function Transcript({ of }: { readonly of: Said }): ReactNode {
  return (
    <div className="overflow-x-auto rounded-lg bg-sunken p-3" tabIndex={0} role="group" aria-label="What was said">
      <table className="font-mono text-[12.5px] leading-5">
        <tbody>
          {of.entries.map(({ atMs, direction, text }, i) => (
            <tr key={i} className={LOOKS[direction]}>
              <td className="pr-3 text-right align-top whitespace-nowrap text-soft">{span(atMs)}</td>
              <td className="pr-2 align-top">
                <span aria-hidden="true">{direction}</span>
                <span className="sr-only">{SPEAKERS[direction]}</span>
              </td>
              <td className="whitespace-pre-wrap">{text}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
