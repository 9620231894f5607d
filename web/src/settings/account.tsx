// One's own account: the password, the authenticator app, passkeys, and where one is signed in.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { renderSVG } from 'uqr';
import { Refusal, send, useApi } from '#web/api/client.ts';
import type { Answer } from '#web/api/client.ts';
import { canPasskeys, makePasskey, useMe, useSignOut } from '#web/api/session.ts';
import type { Person } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button, IconButton } from '#web/parts/button.tsx';
import { CodeBlock, Copyable } from '#web/parts/copy.tsx';
import { Dialog } from '#web/parts/dialog.tsx';
import { ShownOnce } from '#web/parts/dialog-form.tsx';
import { TextField } from '#web/parts/form.tsx';
import { Loaded, Notice, RefusalNotice, Section } from '#web/parts/layout.tsx';
import { say } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const STALE = ['/v1/session', '/v1/me', '/v1/people'];

export function Account(): ReactNode {
  const me = useMe();
  const signOut = useSignOut();
  if (me.error?.status === 401) return <Notice tone="info" title="You came with a token, not as a person: there is no account to set up." />;
  return (
    <Loaded of={me}>
      {({ person }) => (
        <>
          {!person.password && person.passkeys === 0 && (
            <div className="mb-4">
              <Notice tone="warn" title="You are signed in by a link that does not work again.">
                Choose a password or a passkey now, so that you can come back.
              </Notice>
            </div>
          )}
          <Section
            title={person.name}
            about={person.scopes.includes('admin') ? 'May do everything.' : `May: ${person.scopes.join(', ')}`}
            actions={
              <Button icon="out" onClick={() => void signOut()}>
                Sign out
              </Button>
            }
          >
            <Password person={person} />
          </Section>
          <Totp person={person} />
          <Passkeys person={person} />
          <Places />
        </>
      )}
    </Loaded>
  );
}

/** Asks for the password when the server wants it once more. */
function Again({ error, value, change }: { readonly error: Refusal | null; readonly value: string; readonly change: (text: string) => void }): ReactNode {
  const wanted = value !== '' || error?.code === 'prove-again' || error?.code === 'password-wrong';
  return (
    <>
      {error !== null && <RefusalNotice error={error} />}
      {wanted && <TextField label="Your password" type="password" autoComplete="current-password" value={value} onChange={(event) => change(event.target.value)} />}
    </>
  );
}

const again = (current: string): { current?: string } => (current === '' ? {} : { current });

function Password({ person }: { readonly person: Person }): ReactNode {
  const [password, setPassword] = useState('');
  const [current, setCurrent] = useState('');
  const set = useAct({
    act: () => send('PUT /v1/me/password', {}, { password, ...again(current) }),
    stale: STALE,
    done: () => {
      setPassword('');
      setCurrent('');
      say('The password is set; other places are signed out.');
    },
  });
  return (
    <form
      className="grid max-w-[420px] gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        set.mutate(undefined);
      }}
    >
      <input type="text" hidden readOnly autoComplete="username" value={person.name} />
      <TextField
        label={person.password ? 'New password' : 'Password'}
        type="password"
        autoComplete="new-password"
        required
        minLength={12}
        hint="12 characters or more; a sentence is easy to keep."
        value={password}
        onChange={(event) => setPassword(event.target.value)}
      />
      <Again error={set.error} value={current} change={setCurrent} />
      <div>
        <Button kind="primary" type="submit" busy={set.isPending}>
          {person.password ? 'Change the password' : 'Set the password'}
        </Button>
      </div>
    </form>
  );
}

function Totp({ person }: { readonly person: Person }): ReactNode {
  const [secret, setSecret] = useState<Answer<'POST /v1/me/totp'> | null>(null);
  const [code, setCode] = useState('');
  const [current, setCurrent] = useState('');
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  const begin = useAct({ act: () => send('POST /v1/me/totp', {}, again(current)), stale: [], done: setSecret });
  const confirm = useAct({
    act: () => send('PUT /v1/me/totp', {}, { secret: secret?.secret ?? '', code: code.trim(), ...again(current) }),
    stale: STALE,
    done: ({ recoveryCodes }) => {
      setSecret(null);
      setCode('');
      setCodes(recoveryCodes);
    },
  });
  const remove = useAct({ act: () => send('DELETE /v1/me/totp', {}, again(current)), stale: STALE, done: () => say('No codes are asked for any more.') });
  return (
    <Section
      title="Authenticator app"
      about="A code of your telephone besides the password."
      actions={
        person.totp ? (
          <Button kind="danger" busy={remove.isPending} onClick={() => remove.mutate(undefined)}>
            Remove
          </Button>
        ) : (
          <Button icon="plus" busy={begin.isPending} onClick={() => begin.mutate(undefined)}>
            Set up
          </Button>
        )
      }
    >
      <div className="grid max-w-[420px] gap-3">
        <p className="text-soft">{person.totp ? `It is set up; ${person.recoveryCodes} recovery codes are left.` : 'Not set up.'}</p>
        <Again error={begin.error ?? remove.error} value={current} change={setCurrent} />
      </div>
      <Dialog open={secret !== null} close={() => setSecret(null)} title="Set up the app">
        {secret !== null && (
          <form
            className="grid gap-4"
            onSubmit={(event) => {
              event.preventDefault();
              confirm.mutate(undefined);
            }}
          >
            <p className="text-soft">Scan this with the app, or type the secret into it; then type the code that it shows.</p>
            <img
              className="mx-auto size-[190px] rounded-lg bg-white p-2"
              alt="QR code for the authenticator app"
              src={`data:image/svg+xml,${encodeURIComponent(renderSVG(secret.uri, { border: 0 }))}`}
            />
            <Copyable text={secret.secret} label="the secret" />
            <TextField label="Code" autoComplete="one-time-code" inputMode="numeric" required value={code} onChange={(event) => setCode(event.target.value)} />
            {confirm.error !== null && <RefusalNotice error={confirm.error} />}
            <Button kind="primary" type="submit" busy={confirm.isPending}>
              Confirm
            </Button>
          </form>
        )}
      </Dialog>
      <ShownOnce
        open={codes !== null}
        title="Recovery codes"
        warning="Keep them: they are not shown again."
        about="Each lets you in once instead of a code, when the telephone is lost."
        done={() => setCodes(null)}
      >
        <CodeBlock label="the recovery codes" text={(codes ?? []).join('\n')} />
      </ShownOnce>
    </Section>
  );
}

function Passkeys({ person }: { readonly person: Person }): ReactNode {
  const keys = useApi('/v1/me/passkeys', {});
  const [name, setName] = useState('');
  const [current, setCurrent] = useState('');
  const add = useAct({
    act: () => makePasskey(name.trim() === '' ? 'passkey' : name.trim(), current === '' ? undefined : current).catch(asRefusal),
    stale: STALE,
    done: (made) => {
      setName('');
      say(`The passkey "${made.name}" is kept.`);
    },
  });
  const remove = useAct({
    act: (id: string) => send('DELETE /v1/me/passkeys/{id}', { id }, again(current)),
    stale: STALE,
    done: () => say('The passkey is forgotten.'),
  });
  return (
    <Section title="Passkeys" about="Sign in by your device, without a password and a code.">
      <Loaded of={keys}>
        {({ passkeys }) => (
          <ul className="mb-3 grid gap-1">
            {passkeys.map((key) => (
              <li key={key.id} className="flex items-center gap-3">
                <span className="font-medium">{key.name}</span>
                <span className="text-[13px] text-soft">
                  last used <When at={key.usedAt} />
                </span>
                <IconButton name={`Forget ${key.name}`} icon="close" className="ml-auto" onClick={() => remove.mutate(key.id)} />
              </li>
            ))}
          </ul>
        )}
      </Loaded>
      {canPasskeys() ? (
        <form
          className="grid max-w-[420px] gap-3"
          onSubmit={(event) => {
            event.preventDefault();
            add.mutate(undefined);
          }}
        >
          <TextField label="Name of the new passkey" placeholder={`laptop of ${person.name}`} value={name} onChange={(event) => setName(event.target.value)} />
          <Again error={add.error ?? remove.error} value={current} change={setCurrent} />
          <div>
            <Button icon="plus" type="submit" busy={add.isPending}>
              Add a passkey
            </Button>
          </div>
        </form>
      ) : (
        <Notice tone="info" title="Passkeys belong to a name.">
          Open the dashboard as http://localhost:{location.port || '80'} on the server itself, or by https and a host name, to add one.
        </Notice>
      )}
    </Section>
  );
}

/** What the browser itself refuses has a cause too. */
function asRefusal(thrown: unknown): never {
  if (thrown instanceof Refusal) throw thrown;
  const cause = thrown instanceof Error ? thrown.message : String(thrown);
  throw new Refusal({ status: 0, code: 'passkey-failed', cause, fix: 'Try again, or use another device.' });
}

const WAYS = { password: 'by password', passkey: 'by passkey', link: 'by link' } as const;

function Places(): ReactNode {
  const places = useApi('/v1/me/sessions', {});
  const end = useAct({ act: (id: string) => send('DELETE /v1/me/sessions/{id}', { id }), stale: STALE, done: () => say('Signed out there.') });
  return (
    <Section title="Where you are signed in" flush>
      <Loaded of={places}>
        {({ sessions }) => (
          <table className="rows stack">
            <thead>
              <tr>
                <th scope="col">From</th>
                <th scope="col">Browser</th>
                <th scope="col">Since</th>
                <th scope="col">Last seen</th>
                <th scope="col">
                  <span className="sr-only">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {sessions.map((one) => (
                <tr key={one.id}>
                  <td data-label="From">
                    {one.address} {one.current && <Badge tone="plain">this one</Badge>}
                  </td>
                  <td data-label="Browser" className="max-w-[320px] truncate text-[13px] text-soft" title={one.agent}>
                    {WAYS[one.method]}, {one.agent}
                  </td>
                  <td data-label="Since">
                    <When at={one.createdAt} />
                  </td>
                  <td data-label="Last seen">
                    <When at={one.seenAt} />
                  </td>
                  <td>{!one.current && <IconButton name="Sign out there" icon="close" onClick={() => end.mutate(one.id)} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Loaded>
    </Section>
  );
}
