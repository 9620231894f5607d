// Who else may sign in: let in by a link that holds once, and out again.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { send, useApi } from '#web/api/client.ts';
import type { Person } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Button, IconButton } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { DialogForm, ShownOnce } from '#web/parts/dialog-form.tsx';
import { Choice, TextField } from '#web/parts/form.tsx';
import { Loaded, Section } from '#web/parts/layout.tsx';
import { say } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

/** Roles as people think of them; finer ones with `postern person add --scope`. */
const ROLES: readonly (readonly [string, string, Person['scopes']])[] = [
  ['admin', 'everything', ['admin']],
  [
    'operator',
    'mail, queue, suppressions, the doctor',
    ['messages:read', 'queue:write', 'suppressions:write', 'events:read', 'statistics:read', 'doctor:run', 'credentials:read', 'domains:read', 'server:read'],
  ],
  ['reader', 'look, and change nothing', ['messages:read', 'queue:read', 'suppressions:read', 'events:read', 'statistics:read', 'credentials:read', 'domains:read', 'server:read']],
];

export function People(): ReactNode {
  const people = useApi('/v1/people', {});
  const [open, setOpen] = useState(false);
  const [link, setLink] = useState<string | null>(null);
  const [dialog, confirm] = useConfirm();
  const invite = useAct({ act: (name: string) => send('POST /v1/people/{name}/link', { name }), stale: ['/v1/people'], done: (made) => setLink(made.link) });
  const remove = useAct({ act: (name: string) => send('DELETE /v1/people/{name}', { name }), stale: ['/v1/people'], done: (_, name) => say(`${name} is let in no more.`) });
  return (
    <>
      {dialog}
      <Section
        title="People"
        about="Who may sign in here."
        flush
        actions={
          <Button kind="primary" icon="plus" onClick={() => setOpen(true)}>
            Let somebody in
          </Button>
        }
      >
        <Loaded of={people}>
          {(data) => (
            <table className="rows stack">
              <thead>
                <tr>
                  <th scope="col">Name</th>
                  <th scope="col">May</th>
                  <th scope="col">Signs in with</th>
                  <th scope="col">Last signed in</th>
                  <th scope="col">
                    <span className="sr-only">Actions</span>
                  </th>
                </tr>
              </thead>
              <tbody>
                {data.people.map((person) => (
                  <tr key={person.id}>
                    <td data-label="Name" className="font-medium">
                      {person.name}
                    </td>
                    <td data-label="May" className="text-[13px]">
                      {roleOf(person)}
                    </td>
                    <td data-label="Signs in with">{waysOf(person)}</td>
                    <td data-label="Last signed in">
                      <When at={person.signedInAt} />
                    </td>
                    <td>
                      <span className="-my-1.5 flex justify-end gap-1">
                        <Button kind="quiet" onClick={() => invite.mutate(person.name)}>
                          New link
                        </Button>
                        <IconButton
                          name={`Let ${person.name} in no more`}
                          icon="close"
                          onClick={() =>
                            confirm({
                              title: `Let ${person.name} in no more?`,
                              text: 'They are signed out at once, everywhere.',
                              verb: 'Remove',
                              danger: true,
                              act: () => remove.mutateAsync(person.name),
                            })
                          }
                        />
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Loaded>
      </Section>
      <Add
        open={open}
        close={() => setOpen(false)}
        made={(text) => {
          setOpen(false);
          setLink(text);
        }}
      />
      <ShownOnce
        open={link !== null}
        title="The link"
        warning="Whoever opens it first is signed in. It holds once, for a day."
        about="Send it by a way that you trust."
        done={() => setLink(null)}
      >
        <Copyable text={link ?? ''} label="the link" />
      </ShownOnce>
    </>
  );
}

function Add({ open, close, made }: { readonly open: boolean; readonly close: () => void; readonly made: (link: string) => void }): ReactNode {
  const [name, setName] = useState('');
  const [role, setRole] = useState('operator');
  const add = useAct({
    act: () => send('POST /v1/people', {}, { name: name.trim(), scopes: ROLES.find(([id]) => id === role)?.[2] ?? [] }),
    stale: ['/v1/people'],
    done: ({ link }) => {
      setName('');
      made(link);
    },
  });
  return (
    <DialogForm open={open} close={close} title="Let somebody in" act={add} verb="Make the link">
      <TextField label="Name" required value={name} onChange={(event) => setName(event.target.value)} placeholder="ada" />
      <Choice label="They may" value={role} onChange={(event) => setRole(event.target.value)} options={ROLES.map(([id, text]) => [id, text] as const)} />
    </DialogForm>
  );
}

function roleOf({ scopes }: Person): string {
  const role = ROLES.find(([, , has]) => has.length === scopes.length && has.every((scope) => scopes.includes(scope)));
  return role?.[1] ?? scopes.join(', ');
}

function waysOf({ password, totp, passkeys }: Person): string {
  const ways = [password ? (totp ? 'password and code' : 'password') : '', passkeys > 0 ? `${passkeys} ${passkeys === 1 ? 'passkey' : 'passkeys'}` : ''].filter(
    (way) => way !== '',
  );
  return ways.length === 0 ? 'a link only' : ways.join(', ');
}
