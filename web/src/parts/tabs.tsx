// Tabs; which one is open is part of the address.

import { Tabs as Base } from '@base-ui/react/tabs';
import type { ReactNode } from 'react';
import { setQuery, useLocation } from '#web/base/router.tsx';

type Tab = { readonly id: string; readonly label: ReactNode; readonly body: ReactNode };

export function Tabs({ name = 'tab', tabs, label }: { readonly name?: string; readonly tabs: readonly Tab[]; readonly label: string }): ReactNode {
  const { query } = useLocation();
  const first = tabs[0]?.id ?? '';
  const wanted = query.get(name);
  const open = tabs.some(({ id }) => id === wanted) ? wanted : first;
  return (
    <Base.Root value={open} onValueChange={(value: unknown) => setQuery({ [name]: value === first ? null : String(value) })}>
      <Base.List aria-label={label} className="mb-4 flex gap-1 overflow-x-auto border-b border-line">
        {tabs.map(({ id, label: text }) => (
          <Base.Tab
            key={id}
            value={id}
            className="-mb-px border-b-2 border-transparent px-3 py-2 font-medium whitespace-nowrap text-soft hover:text-ink data-active:border-accent data-active:text-ink"
          >
            {text}
          </Base.Tab>
        ))}
      </Base.List>
      {tabs.map(({ id, body }) => (
        <Base.Panel key={id} value={id} className="outline-none">
          {body}
        </Base.Panel>
      ))}
    </Base.Root>
  );
}
