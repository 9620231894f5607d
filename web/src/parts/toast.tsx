// Short sentences about what was just done, said to screen readers too; they go away by themselves, those about failures only when told.

import { useSyncExternalStore } from 'react';
import type { ReactNode } from 'react';
import { Refusal } from '#web/api/client.ts';
import { IconButton } from './button.tsx';

type Toast = { readonly id: number; readonly tone: 'good' | 'bad'; readonly text: string; readonly more: string };

const SHOWN_MS = 5_000;
let toasts: readonly Toast[] = [];
let last = 0;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

function dismiss(id: number): void {
  change(toasts.filter((toast) => toast.id !== id));
}

export function say(text: string): void {
  const id = ++last;
  change([...toasts.slice(-2), { id, tone: 'good', text, more: '' }]);
  setTimeout(() => dismiss(id), SHOWN_MS);
}

export function sayFailure(error: unknown): void {
  const [text, more] = error instanceof Refusal ? [error.message, error.fix] : ['That did not work.', String(error)];
  change([...toasts.slice(-2), { id: ++last, tone: 'bad', text, more }]);
}

export function Toasts(): ReactNode {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div aria-live="polite" className="pointer-events-none fixed inset-x-3 bottom-3 z-50 flex flex-col items-end gap-2">
      {shown.map((toast) => (
        <div
          key={toast.id}
          className={`appear pointer-events-auto flex max-w-[440px] items-start gap-2 rounded-xl border bg-raised py-2 pr-1.5 pl-4 shadow-[var(--shadow-high)] ${toast.tone === 'bad' ? 'border-bad' : 'border-line'}`}
        >
          <div className="min-w-0 py-1">
            <p className={toast.tone === 'bad' ? 'font-medium text-bad' : 'font-medium'}>{toast.text}</p>
            {toast.more !== '' && <p className="text-soft">{toast.more}</p>}
          </div>
          <IconButton name="Dismiss" icon="close" onClick={() => dismiss(toast.id)} />
        </div>
      ))}
    </div>
  );
}
