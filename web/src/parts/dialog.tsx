// Dialogs: a question with an answer, or a form. Focus stays within and goes back to where it came from; Escape closes.

import { Dialog as Base } from '@base-ui/react/dialog';
import { useRef, useState } from 'react';
import type { ReactNode } from 'react';
import { Button, IconButton } from './button.tsx';
import { sayFailure } from './toast.tsx';

type Props = {
  readonly open: boolean;
  readonly close: () => void;
  readonly title: string;
  readonly about?: ReactNode;
  readonly wide?: boolean;
  /** What stands in it is shown once: only its own button closes it. */
  readonly firm?: boolean;
  readonly children: ReactNode;
};

export function Dialog({ open, close, title, about, wide = false, firm = false, children }: Props): ReactNode {
  const popup = useRef<HTMLDivElement>(null);
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && !firm && close()} disablePointerDismissal={firm}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-30 bg-black/45" />
        <Base.Popup
          ref={popup}
          initialFocus={() => popup.current?.querySelector<HTMLElement>('input, select, textarea') ?? true}
          className={`appear fixed top-1/2 left-1/2 z-40 flex max-h-[calc(100dvh-24px)] w-[calc(100vw-24px)] -translate-x-1/2 -translate-y-1/2 flex-col rounded-2xl border border-line bg-raised shadow-[var(--shadow-high)] outline-none ${wide ? 'max-w-[760px]' : 'max-w-[480px]'}`}
        >
          <div className="flex items-start justify-between gap-3 px-5 pt-4">
            <div className="min-w-0">
              <Base.Title className="text-[17px] leading-7 font-semibold">{title}</Base.Title>
              {about !== undefined && <Base.Description className="text-soft">{about}</Base.Description>}
            </div>
            {!firm && <IconButton name="Close" icon="close" onClick={close} className="-mr-2" />}
          </div>
          <div className="overflow-y-auto px-5 pt-3 pb-5">{children}</div>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

type Question = { readonly title: string; readonly text: ReactNode; readonly verb: string; readonly danger?: boolean; readonly act: () => Promise<unknown> };

/** Asks before something that cannot be taken back. */
export function useConfirm(): readonly [ReactNode, (question: Question) => void] {
  const [question, ask] = useState<Question | null>(null);
  const [busy, setBusy] = useState(false);
  const act = async (): Promise<void> => {
    setBusy(true);
    await question?.act().then(() => ask(null), sayFailure);
    setBusy(false);
  };
  const dialog = (
    <Dialog open={question !== null} close={() => ask(null)} title={question?.title ?? ''}>
      <div className="text-soft">{question?.text}</div>
      <div className="mt-5 flex justify-end gap-2">
        <Button onClick={() => ask(null)}>Leave it</Button>
        <Button kind={question?.danger === true ? 'danger' : 'primary'} busy={busy} onClick={() => void act()}>
          {question?.verb}
        </Button>
      </div>
    </Dialog>
  );
  return [dialog, ask];
}
