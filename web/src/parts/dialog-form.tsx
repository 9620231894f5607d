// A dialog that asks for something and does it: fields, what the server said of them, and the two buttons. And one that shows what is shown once.

import type { ReactNode } from 'react';
import type { Refusal } from '#web/api/client.ts';
import { Button } from './button.tsx';
import { Dialog } from './dialog.tsx';
import { Notice, RefusalNotice } from './layout.tsx';

type Form = {
  readonly open: boolean;
  readonly close: () => void;
  readonly title: string;
  readonly about?: ReactNode;
  /** What is done when it is sent, with what the fields say by then. */
  readonly act: { readonly mutate: (input: undefined) => void; readonly error: Refusal | null; readonly isPending: boolean };
  /** On the button. */
  readonly verb: string;
  readonly ready?: boolean;
  readonly children: ReactNode;
};

export function DialogForm({ open, close, title, about, act, verb, ready = true, children }: Form): ReactNode {
  return (
    <Dialog open={open} close={close} title={title} about={about}>
      <form
        className="grid grid-cols-[minmax(0,1fr)] gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          act.mutate(undefined);
        }}
      >
        {children}
        {act.error !== null && <RefusalNotice error={act.error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" type="submit" busy={act.isPending} disabled={!ready}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

type Once = { readonly open: boolean; readonly title: string; readonly warning: string; readonly about?: ReactNode; readonly done: () => void; readonly children: ReactNode };

/** Only its button closes it, so that nobody loses what stands in it by a slip. */
export function ShownOnce({ open, title, warning, about, done, children }: Once): ReactNode {
  return (
    <Dialog open={open} close={done} title={title} firm wide>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
        <Notice tone="warn" title={warning}>
          {about}
        </Notice>
        {children}
        <div className="flex justify-end">
          <Button kind="primary" icon="check" onClick={done}>
            I have it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
