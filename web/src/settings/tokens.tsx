// Tokens that programs use the API with: made here, shown once, revoked.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { send, useApi } from '#web/api/client.ts';
import type { Token } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button, IconButton } from '#web/parts/button.tsx';
import { CodeBlock, Copyable } from '#web/parts/copy.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { DialogForm, ShownOnce } from '#web/parts/dialog-form.tsx';
import { Check, Choice, TextField } from '#web/parts/form.tsx';
import { Empty, Loaded, Section } from '#web/parts/layout.tsx';
import { say } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

type Scope = Token['scopes'][number];

/** The scopes, in groups that people think in. */
const SCOPES: readonly (readonly [Scope, string])[] = [
  ['messages:send', 'send messages'],
  ['messages:read', 'search and read messages'],
  ['queue:read', 'see the queue'],
  ['queue:write', 'retry, hold, release, cancel'],
  ['credentials:write', 'make and revoke credentials'],
  ['domains:write', 'add, check and remove domains'],
  ['suppressions:write', 'add and remove suppressions'],
  ['webhooks:write', 'manage webhooks'],
  ['events:read', 'read events'],
  ['statistics:read', 'read statistics'],
  ['doctor:run', 'run the doctor and the advisor'],
  ['server:read', 'see routes, certificates, TLS'],
  ['audit:read', 'read the audit log'],
  ['admin', 'everything'],
];

export function Tokens(): ReactNode {
  const tokens = useApi('/v1/tokens', {});
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const [dialog, confirm] = useConfirm();
  const revoke = useAct({
    act: (name: string) => send('DELETE /v1/tokens/{name}', { name }),
    stale: ['/v1/tokens'],
    done: (_, name) => say(`The token "${name}" is revoked.`),
  });
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      New token
    </Button>
  );
  return (
    <>
      {dialog}
      <Section
        title="API tokens"
        about={
          <>
            For programs that use the HTTP API. What there is, is told at{' '}
            <a href="/docs" className="text-accent underline">
              the reference
            </a>
            .
          </>
        }
        actions={add}
        flush
      >
        <Loaded of={tokens}>
          {(data) =>
            data.tokens.length === 0 ? (
              <Empty icon="key" title="No token yet">
                Sending by SMTP needs none: that is what credentials are for.
              </Empty>
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">May</th>
                    <th scope="col">Ends</th>
                    <th scope="col">Last used</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.tokens.map((token) => (
                    <tr key={token.id}>
                      <td data-label="Name" className="font-medium">
                        {token.name} {token.revokedAt !== null && <Badge tone="plain">revoked</Badge>}
                      </td>
                      <td data-label="May" className="text-[13px]">
                        {token.scopes.join(', ')}
                        {token.project !== null && ` in project ${token.project}`}
                      </td>
                      <td data-label="Ends">{token.expiresAt === null ? 'never' : <When at={token.expiresAt} />}</td>
                      <td data-label="Last used">
                        <When at={token.lastUsedAt} />
                      </td>
                      <td>
                        {token.revokedAt === null && (
                          <span className="-my-1.5 flex justify-end">
                            <IconButton
                              name={`Revoke ${token.name}`}
                              icon="close"
                              onClick={() =>
                                confirm({
                                  title: `Revoke the token "${token.name}"?`,
                                  text: 'Programs that use it are answered 401 from now on.',
                                  verb: 'Revoke',
                                  danger: true,
                                  act: () => revoke.mutateAsync(token.name),
                                })
                              }
                            />
                          </span>
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Loaded>
      </Section>
      <NewToken
        open={making}
        close={() => setMaking(false)}
        made={(token) => {
          setMaking(false);
          setMade(token);
        }}
      />
      <ShownOnce open={made !== null} title="The new token" warning="Take it now: it is not shown again." done={() => setMade(null)}>
        <Copyable text={made ?? ''} label="the token" />
        <CodeBlock label="the command" text={`curl ${location.origin}/v1/identity \\\n  -H "Authorization: Bearer ${made ?? ''}"`} />
      </ShownOnce>
    </>
  );
}

function NewToken({ open, close, made }: { readonly open: boolean; readonly close: () => void; readonly made: (token: string) => void }): ReactNode {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<readonly Scope[]>(['messages:send']);
  const [days, setDays] = useState('');
  const create = useAct({
    act: () => send('POST /v1/tokens', {}, { name: name.trim(), scopes, expiresInDays: days === '' ? null : Number(days) }),
    stale: ['/v1/tokens'],
    done: ({ token }) => {
      setName('');
      made(token);
    },
  });
  return (
    <DialogForm open={open} close={close} title="New token" act={create} verb="Create" ready={scopes.length > 0}>
      <TextField label="Name" required value={name} onChange={(event) => setName(event.target.value)} placeholder="shop-backend" />
      <fieldset>
        <legend className="mb-1.5 text-[13px] font-medium">It may</legend>
        <div className="grid gap-1.5 sm:grid-cols-2">
          {SCOPES.map(([scope, text]) => (
            <Check
              key={scope}
              label={text}
              checked={scopes.includes(scope)}
              onChange={(event) => setScopes(event.target.checked ? [...scopes, scope] : scopes.filter((one) => one !== scope))}
            />
          ))}
        </div>
      </fieldset>
      <Choice
        label="It ends"
        value={days}
        onChange={(event) => setDays(event.target.value)}
        options={[
          ['', 'never'],
          ['30', 'in 30 days'],
          ['90', 'in 90 days'],
          ['365', 'in a year'],
        ]}
      />
    </DialogForm>
  );
}
