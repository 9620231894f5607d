// The door: shown instead of every page while nobody is signed in. By a link that holds once (its secret is behind the # of the address), by name and
// password with the code of an app, or by a passkey.

import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { Refusal, send } from '#web/api/client.ts';
import { canPasskeys, signInByPasskey, useIdentity } from '#web/api/session.ts';
import type { SignedIn } from '#web/api/schema.ts';
import { navigate } from '#web/base/router.tsx';
import { Button } from '#web/parts/button.tsx';
import { TextField } from '#web/parts/form.tsx';
import { Notice, RefusalNotice, Waiting } from '#web/parts/layout.tsx';

const PLACE = '/sign-in';

/** What is within, for those who are known. */
export function Door({ children }: { readonly children: ReactNode }): ReactNode {
  const identity = useIdentity();
  const atDoor = location.pathname === PLACE && location.hash.length > 1;
  if (atDoor) return <SignIn />;
  if (identity.data !== undefined && identity.error === null) return children;
  if (identity.error?.status === 401) return <SignIn />;
  if (identity.error !== null) {
    return (
      <Frame>
        <RefusalNotice error={identity.error} again={() => void identity.refetch()} />
      </Frame>
    );
  }
  return <Waiting />;
}

/** A link is used once: also when React draws twice. */
let used: Promise<SignedIn> | null = null;

function SignIn(): ReactNode {
  const queries = useQueryClient();
  const [link] = useState(() => (location.pathname === PLACE ? location.hash.slice(1) : ''));
  const [busy, setBusy] = useState(link !== '');
  const [error, setError] = useState<Refusal | null>(null);
  const [wantsCode, setWantsCode] = useState(false);
  const [form, setForm] = useState({ name: '', password: '', code: '' });

  const enter = async (way: () => Promise<SignedIn>): Promise<void> => {
    setBusy(true);
    setError(null);
    try {
      const { person } = await way();
      const lasting = person.password || person.passkeys > 0;
      if (location.pathname === PLACE || !lasting) navigate(lasting ? '/' : '/settings?tab=account', { replace: true });
      await queries.resetQueries();
    } catch (thrown) {
      setBusy(false);
      if (thrown instanceof Refusal) {
        if (thrown.code === 'code-needed') return setWantsCode(true);
        setError(thrown);
      } else
        setError(new Refusal({ status: 0, code: 'passkey-failed', cause: thrown instanceof Error ? thrown.message : String(thrown), fix: 'Try again, or sign in another way.' }));
    }
  };
  useEffect(() => {
    if (link === '') return;
    history.replaceState(null, '', PLACE);
    used ??= send('POST /v1/session', {}, { link });
    const way = used;
    void enter(() => way);
    // Once: the link is in the address only at the start.
  }, [link]);

  if (busy && link !== '' && error === null) return <Waiting label="Signing in" />;
  const change = (field: keyof typeof form) => (event: { target: { value: string } }) => setForm({ ...form, [field]: event.target.value });
  return (
    <Frame>
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          const { name, password, code } = form;
          void enter(() => send('POST /v1/session', {}, { name: name.trim(), password, ...(wantsCode ? { code } : {}) }));
        }}
      >
        {error !== null && <RefusalNotice error={error} />}
        <TextField label="Name" autoComplete="username" required value={form.name} onChange={change('name')} />
        <TextField label="Password" type="password" autoComplete="current-password" required value={form.password} onChange={change('password')} />
        {wantsCode && (
          <>
            <Notice tone="info" title="Your authenticator app shows a code for this server." />
            <TextField label="Code" autoComplete="one-time-code" required autoFocus hint="A recovery code does too." value={form.code} onChange={change('code')} />
          </>
        )}
        <Button kind="primary" type="submit" busy={busy}>
          Sign in
        </Button>
        {canPasskeys() && (
          <Button icon="key" busy={busy} onClick={() => void enter(signInByPasskey)}>
            Sign in with a passkey
          </Button>
        )}
        <p className="text-[13px] text-soft">
          The first time, or when everything is lost: <code>postern person link NAME</code> on the server prints a link that lets you in once.
        </p>
      </form>
    </Frame>
  );
}

function Frame({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <main id="main" className="mx-auto grid min-h-dvh w-full max-w-[400px] content-center px-4 py-8">
      <title>Sign in · Postern</title>
      <div className="mb-5 flex items-center gap-2.5">
        <img src="/icon.svg" alt="" width={32} height={32} />
        <h1 className="text-[20px] font-semibold tracking-tight">Sign in to Postern</h1>
      </div>
      <div className="card p-5">{children}</div>
    </main>
  );
}
