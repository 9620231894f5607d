// Who may submit mail: made here, shown once, with a snippet that works in the user's own library.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { plural } from '#web/base/text.ts';
import { send, useApi } from '#web/api/client.ts';
import type { Credential, CredentialSecret } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { Dialog, useConfirm } from '#web/parts/dialog.tsx';
import { DialogForm, ShownOnce } from '#web/parts/dialog-form.tsx';
import { Cards, TextField } from '#web/parts/form.tsx';
import { Empty, Facts, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { Snippets } from '#web/parts/snippets.tsx';
import { say, sayFailure } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const words = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== '');

export default function Credentials(): ReactNode {
  const credentials = useApi('/v1/credentials', {});
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<CredentialSecret | null>(null);
  const [snippetOf, setSnippetOf] = useState<Credential | null>(null);
  const [dialog, confirm] = useConfirm();
  const rotate = useAct({
    act: (name: string) => send('POST /v1/credentials/{name}/rotate', { name }),
    stale: ['/v1/credentials'],
    done: setSecret,
    failed: sayFailure,
  });
  const revoke = useAct({
    act: (name: string) => send('DELETE /v1/credentials/{name}', { name }),
    stale: ['/v1/credentials'],
    done: (_, name) => say(`"${name}" can no longer log in.`),
  });
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
      New credential
    </Button>
  );
  return (
    <>
      {dialog}
      <PageHead
        title="Credentials"
        about="User names and passwords that applications log in with. A sandbox credential's mail is captured and never leaves; a live one's is delivered."
        actions={add}
      />
      <Section flush>
        <Loaded of={credentials}>
          {(data) =>
            data.credentials.length === 0 ? (
              <Empty icon="key" title="No credential yet">
                <p className="mb-3">An application needs one to submit mail. Begin with a sandbox: its mail is only shown to you.</p>
                {add}
              </Empty>
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">Name</th>
                    <th scope="col">Mode</th>
                    <th scope="col">May send as</th>
                    <th scope="col">Limits</th>
                    <th scope="col">Last used</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.credentials.map((credential) => (
                    <tr key={credential.name}>
                      <td data-label="Name">
                        <span>
                          <span className="font-medium">{credential.name}</span>
                          <span className="block font-mono text-[12px] text-soft">{credential.username}</span>
                        </span>
                      </td>
                      <td data-label="Mode">
                        <Mode of={credential.mode} />
                      </td>
                      <td data-label="May send as">{credential.domains.length === 0 ? 'any domain' : credential.domains.join(', ')}</td>
                      <td data-label="Limits" className="text-[13px]">
                        {limits(credential)}
                      </td>
                      <td data-label="Last used">
                        <When at={credential.lastUsedAt} />
                      </td>
                      <td>
                        <span className="flex flex-wrap justify-end gap-1">
                          <Button kind="quiet" aria-label={`Snippets for ${credential.name}`} onClick={() => setSnippetOf(credential)}>
                            Snippets
                          </Button>
                          <Button
                            kind="quiet"
                            aria-label={`New password for ${credential.name}`}
                            onClick={() =>
                              confirm({
                                title: `A new password for "${credential.name}"?`,
                                text: 'The one in use stops at once: whatever still has it is answered 535 until it gets the new one.',
                                verb: 'Make a new password',
                                act: () => rotate.mutateAsync(credential.name),
                              })
                            }
                          >
                            New password
                          </Button>
                          <Button
                            kind="quiet"
                            aria-label={`Revoke ${credential.name}`}
                            onClick={() =>
                              confirm({
                                title: `Revoke "${credential.name}"?`,
                                text: 'It stops at once, for good. Mail of it that waits is still delivered.',
                                verb: 'Revoke',
                                danger: true,
                                act: () => revoke.mutateAsync(credential.name),
                              })
                            }
                          >
                            Revoke
                          </Button>
                        </span>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Loaded>
      </Section>
      <NewCredential
        open={making}
        close={() => setMaking(false)}
        made={(made) => {
          setMaking(false);
          setSecret(made);
        }}
      />
      <ShownOnce
        open={secret !== null}
        title={`Credential "${secret?.name ?? ''}"`}
        warning="Take the password now: it is not shown again."
        about="It is kept here only in a form that cannot be turned back. Lost ones are replaced with “New password”."
        done={() => setSecret(null)}
      >
        {secret !== null && <Secret of={secret} />}
      </ShownOnce>
      <Dialog open={snippetOf !== null} close={() => setSnippetOf(null)} title={`Snippets for "${snippetOf?.name ?? ''}"`} wide>
        {snippetOf !== null && <Snippets username={snippetOf.username} domain={snippetOf.domains[0] ?? null} />}
      </Dialog>
    </>
  );
}

function Mode({ of }: { readonly of: Credential['mode'] }): ReactNode {
  return of === 'live' ? <Badge tone="good">live</Badge> : <Badge tone="box">sandbox</Badge>;
}

function limits({ allowIps, ratePerHour }: Credential): ReactNode {
  const parts = [...(ratePerHour === null ? [] : [`${plural(ratePerHour, 'recipient')} an hour`]), ...(allowIps.length === 0 ? [] : [`from ${allowIps.join(', ')}`])];
  return parts.length === 0 ? <span className="text-soft">none</span> : parts.join('; ');
}

function NewCredential({ open, close, made }: { readonly open: boolean; readonly close: () => void; readonly made: (secret: CredentialSecret) => void }): ReactNode {
  const [name, setName] = useState('');
  const [mode, setMode] = useState<Credential['mode']>('sandbox');
  const [domains, setDomains] = useState('');
  const [ips, setIps] = useState('');
  const [rate, setRate] = useState('');
  const create = useAct({
    act: () =>
      send(
        'POST /v1/credentials',
        {},
        {
          name: name.trim(),
          mode,
          domains: words(domains),
          allowIps: words(ips),
          ratePerHour: rate === '' ? null : Number(rate),
        },
      ),
    stale: ['/v1/credentials'],
    done: (secret) => {
      setName('');
      made(secret);
    },
  });
  return (
    <DialogForm open={open} close={close} title="New credential" about="The password is made for you, and shown once." act={create} verb="Create">
      <TextField
        label="Name"
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
        placeholder="shop-production"
        hint="After the application that will use it."
      />
      <Cards
        label="Mode"
        value={mode}
        onChange={setMode}
        options={[
          { value: 'sandbox', title: 'Sandbox', text: 'Mail is captured and shown here. Nothing leaves.' },
          { value: 'live', title: 'Live', text: 'Mail is delivered to its recipients.' },
        ]}
      />
      <TextField
        label="May send as"
        value={domains}
        onChange={(event) => setDomains(event.target.value)}
        placeholder="example.com"
        hint="Domains of the sender, separated by spaces. Empty: any."
      />
      <details>
        <summary className="cursor-pointer text-soft hover:text-ink">Limits</summary>
        <div className="mt-3 grid gap-4">
          <TextField
            label="From these addresses only"
            value={ips}
            onChange={(event) => setIps(event.target.value)}
            placeholder="192.0.2.0/24"
            hint="IP addresses or networks. Empty: from anywhere."
          />
          <TextField label="Recipients an hour" type="number" min={1} value={rate} onChange={(event) => setRate(event.target.value)} hint="Empty: no limit." />
        </div>
      </details>
    </DialogForm>
  );
}

function Secret({ of }: { readonly of: CredentialSecret }): ReactNode {
  return (
    <>
      <Facts
        of={[
          ['User name', <Copyable key="u" text={of.username} label="the user name" />],
          ['Password', <Copyable key="p" text={of.password} label="the password" />],
          ['Mode', <Mode key="m" of={of.mode} />],
        ]}
      />
      <Snippets username={of.username} domain={of.domains[0] ?? null} />
    </>
  );
}
