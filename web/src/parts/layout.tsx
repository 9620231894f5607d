// What pages are put together from: head, sections, facts in pairs, and what is shown when there is nothing, not yet, or a refusal.

import type { ReactNode } from 'react';
import type { UseQueryResult } from '@tanstack/react-query';
import type { Refusal } from '#web/api/client.ts';
import { Button } from './button.tsx';
import { Icon } from './icon.tsx';
import type { IconName } from './icon.tsx';

export function PageHead({
  title,
  about,
  actions,
  above,
}: {
  readonly title: ReactNode;
  readonly about?: ReactNode;
  readonly actions?: ReactNode;
  readonly above?: ReactNode;
}): ReactNode {
  return (
    <header className="mb-5">
      {above}
      <div className="flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
        <div className="min-w-0">
          <h1 className="text-[22px] leading-8 font-semibold tracking-tight">{title}</h1>
          {about !== undefined && <p className="mt-0.5 max-w-[68ch] text-soft">{about}</p>}
        </div>
        {actions !== undefined && <div className="flex flex-wrap gap-2">{actions}</div>}
      </div>
    </header>
  );
}

type SectionProps = {
  readonly title?: ReactNode;
  readonly about?: ReactNode;
  readonly actions?: ReactNode;
  readonly flush?: boolean;
  readonly children: ReactNode;
  readonly id?: string;
};

/** A card with a heading; `flush` when its content (a table) goes to the edge. */
export function Section({ title, about, actions, flush = false, children, id }: SectionProps): ReactNode {
  return (
    <section className="card mb-4 min-w-0" {...(id === undefined ? {} : { id })}>
      {(title !== undefined || actions !== undefined) && (
        <div className={`flex flex-wrap items-start justify-between gap-x-4 gap-y-2 px-4 pt-3 ${flush ? 'border-b border-line pb-2.5' : ''}`}>
          <div className="min-w-0">
            <h2 className="text-[15px] leading-7 font-semibold">{title}</h2>
            {about !== undefined && <p className="max-w-[72ch] text-[13px] text-soft">{about}</p>}
          </div>
          {actions !== undefined && <div className="flex flex-wrap gap-2">{actions}</div>}
        </div>
      )}
      <div className={flush ? 'overflow-x-auto' : 'px-4 py-3'}>{children}</div>
    </section>
  );
}

/** Facts as pairs; those without a value are left out. */
export function Facts({ of }: { readonly of: readonly (readonly [string, ReactNode])[] }): ReactNode {
  return (
    <dl className="grid grid-cols-1 gap-x-6 gap-y-2 sm:grid-cols-[max-content_1fr]">
      {of
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-[13px] leading-6 text-soft max-sm:-mb-2">{name}</dt>
            <dd className="min-w-0 leading-6">{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Empty({ icon, title, children }: { readonly icon: IconName; readonly title: string; readonly children?: ReactNode }): ReactNode {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-12 text-center text-soft">
      <Icon name={icon} size={30} />
      <p className="text-[15px] font-medium text-ink">{title}</p>
      {children !== undefined && <div className="max-w-[52ch]">{children}</div>}
    </div>
  );
}

/** A sentence that matters: what is wrong, and how it is mended. */
export function Notice({ tone, title, children }: { readonly tone: 'bad' | 'warn' | 'info' | 'good'; readonly title: ReactNode; readonly children?: ReactNode }): ReactNode {
  const looks = { bad: 'bg-bad-wash text-bad', warn: 'bg-warn-wash text-warn', info: 'bg-info-wash text-info', good: 'bg-good-wash text-good' } as const;
  return (
    <div className={`rounded-lg px-3.5 py-2.5 ${looks[tone]}`} role={tone === 'bad' ? 'alert' : undefined}>
      <p className="font-medium">{title}</p>
      {children !== undefined && <div className="mt-0.5 text-ink">{children}</div>}
    </div>
  );
}

export function RefusalNotice({ error, again }: { readonly error: Refusal; readonly again?: () => void }): ReactNode {
  return (
    <Notice tone="bad" title={error.message}>
      <p>{error.fix}</p>
      {again !== undefined && (
        <Button className="mt-2" icon="retry" onClick={again}>
          Try again
        </Button>
      )}
    </Notice>
  );
}

export function Waiting({ label = 'Loading' }: { readonly label?: string }): ReactNode {
  return (
    <div role="status" className="pulse px-4 py-10 text-center text-soft">
      {label}…
    </div>
  );
}

/** The three states of what is asked from the server, of which pages then see one. */
export function Loaded<T>({ of, children }: { readonly of: UseQueryResult<T, Refusal>; readonly children: (data: T) => ReactNode }): ReactNode {
  if (of.data !== undefined) return children(of.data);
  if (of.error !== null) {
    return (
      <div className="p-4">
        <RefusalNotice error={of.error} again={() => void of.refetch()} />
      </div>
    );
  }
  return <Waiting />;
}
