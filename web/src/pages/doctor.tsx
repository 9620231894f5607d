// The doctor: what is to be examined, and the reports that are kept.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, navigate, useLocation } from '#web/base/router.tsx';
import { send, useApi } from '#web/api/client.ts';
import { useAct } from '#web/api/verbs.ts';
import { Button, IconButton } from '#web/parts/button.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { Check, Choice, TextField } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, RefusalNotice, Section } from '#web/parts/layout.tsx';
import { Verdict } from '#web/parts/verdict.tsx';
import { When } from '#web/parts/when.tsx';

export default function Doctor(): ReactNode {
  const rows = useApi('/v1/doctor', { limit: 50 }, { everyMs: 15_000 });
  const [dialog, confirm] = useConfirm();
  const remove = useAct({ act: (id: string) => send('DELETE /v1/doctor/{id}', { id }), stale: ['/v1/doctor'] });
  return (
    <>
      {dialog}
      <PageHead title="Doctor" about="Give it a mail server or a domain: it says what works, what does not, the likely cause, and the fix. It looks from this server's network." />
      <Ask />
      <Section title="Reports" flush>
        <Loaded of={rows}>
          {(data) =>
            data.examinations.length === 0 ? (
              <Empty icon="doctor" title="No examination yet">
                Try your own domain first.
              </Empty>
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">Target</th>
                    <th scope="col">Verdict</th>
                    <th scope="col">In short</th>
                    <th scope="col">When</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.examinations.map((row) => (
                    <tr key={row.id} data-link>
                      <td data-label="Target">
                        <Link to={`/doctor/${row.id}`} className="font-medium text-ink no-underline hover:underline">
                          {row.target}
                        </Link>
                      </td>
                      <td data-label="Verdict">
                        <Verdict of={row.status} />
                      </td>
                      <td data-label="In short" className="text-[13px]">
                        {row.summary}
                      </td>
                      <td data-label="When">
                        <When at={row.startedAt} />
                      </td>
                      <td>
                        <span className="-my-1.5 flex justify-end">
                          <IconButton
                            name={`Forget the report about ${row.target}`}
                            icon="close"
                            onClick={() =>
                              confirm({
                                title: 'Forget this report?',
                                text: 'A link to it, if one was shared, shows nothing any more.',
                                verb: 'Forget it',
                                danger: true,
                                act: () => remove.mutateAsync(row.id),
                              })
                            }
                          />
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
    </>
  );
}

function Ask(): ReactNode {
  const { query } = useLocation();
  const [target, setTarget] = useState(query.get('target') ?? '');
  const [kind, setKind] = useState<'' | 'host' | 'domain'>('');
  const [ports, setPorts] = useState('');
  const [username, setUsername] = useState('');
  const [password, setPassword] = useState('');
  const [insecure, setInsecure] = useState(false);
  const start = useAct({
    act: () =>
      send(
        'POST /v1/doctor',
        {},
        {
          target: target.trim(),
          as: kind === '' ? null : kind,
          ports: ports
            .split(/[\s,]+/)
            .filter((port) => port !== '')
            .map(Number),
          login: username === '' ? null : { username, password },
          insecure,
        },
      ),
    stale: ['/v1/doctor'],
    done: ({ id }) => navigate(`/doctor/${id}`),
  });
  return (
    <Section>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          start.mutate(undefined);
        }}
      >
        <div className="flex flex-wrap items-end gap-2">
          <div className="min-w-[220px] flex-1">
            <TextField
              label="Host, host:port, domain or mail address"
              required
              value={target}
              onChange={(event) => setTarget(event.target.value)}
              placeholder="smtp.example.com or example.com"
            />
          </div>
          <Button kind="primary" type="submit" icon="doctor" busy={start.isPending}>
            Examine
          </Button>
        </div>
        <details>
          <summary className="cursor-pointer text-soft hover:text-ink">More</summary>
          <div className="mt-3 grid gap-3 sm:grid-cols-2">
            <Choice
              label="Read it as"
              value={kind}
              onChange={(event) => setKind(event.target.value as typeof kind)}
              options={[
                ['', 'whatever it looks like'],
                ['host', 'a mail server'],
                ['domain', 'a domain that sends or receives'],
              ]}
            />
            <TextField
              label="Ports"
              value={ports}
              onChange={(event) => setPorts(event.target.value)}
              placeholder="25 465 587 2525"
              hint="Of a mail server; these four unless told."
            />
            <TextField label="User name" value={username} onChange={(event) => setUsername(event.target.value)} hint="To try the login; only ever under TLS." />
            <TextField
              label="Password"
              type="password"
              autoComplete="off"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
              hint="Used for this examination, and kept nowhere."
            />
            <Check label="Log in although the certificate does not verify" checked={insecure} onChange={(event) => setInsecure(event.target.checked)} />
          </div>
        </details>
        {start.error !== null && <RefusalNotice error={start.error} />}
      </form>
    </Section>
  );
}
