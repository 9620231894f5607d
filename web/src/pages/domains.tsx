// The domains that mail is sent from and received for.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, navigate } from '#web/base/router.tsx';
import { send, useApi } from '#web/api/client.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { DialogForm } from '#web/parts/dialog-form.tsx';
import { Check, TextField } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { When } from '#web/parts/when.tsx';

export default function Domains(): ReactNode {
  const domains = useApi('/v1/domains', {});
  const [adding, setAdding] = useState(false);
  const add = (
    <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
      Add a domain
    </Button>
  );
  return (
    <>
      <PageHead
        title="Domains"
        about="Mail is believed when its domain says that this server may send it. Each domain has records to publish; they are checked here, live."
        actions={add}
      />
      <Section flush>
        <Loaded of={domains}>
          {(data) =>
            data.domains.length === 0 ? (
              <Empty icon="globe" title="No domain yet">
                <p className="mb-3">Add the domain that your mail comes from. You get its DNS records, ready to copy.</p>
                {add}
              </Empty>
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">Domain</th>
                    <th scope="col">DNS records</th>
                    <th scope="col">Mail</th>
                    <th scope="col">Last checked</th>
                  </tr>
                </thead>
                <tbody>
                  {data.domains.map((domain) => (
                    <tr key={domain.name} data-link>
                      <td data-label="Domain">
                        <Link to={`/domains/${domain.name}`} className="font-medium text-ink no-underline hover:underline">
                          {domain.name}
                        </Link>
                      </td>
                      <td data-label="DNS records">
                        <Standing status={domain.status} />
                      </td>
                      <td data-label="Mail">{domain.inbound ? 'sends and receives' : 'sends'}</td>
                      <td data-label="Last checked">
                        <When at={domain.checkedAt} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Loaded>
      </Section>
      <AddDomain open={adding} close={() => setAdding(false)} />
    </>
  );
}

function Standing({ status }: { readonly status: string }): ReactNode {
  return <Badge tone={status === 'verified' ? 'good' : status === 'unchecked' ? 'plain' : 'warn'}>{status === 'verified' ? 'all right' : status}</Badge>;
}

function AddDomain({ open, close }: { readonly open: boolean; readonly close: () => void }): ReactNode {
  const [name, setName] = useState('');
  const [inbound, setInbound] = useState(false);
  const create = useAct({
    act: () => send('POST /v1/domains', {}, { name: name.trim(), inbound }),
    stale: ['/v1/domains'],
    done: (domain) => navigate(`/domains/${domain.name}`),
  });
  return (
    <DialogForm open={open} close={close} title="Add a domain" act={create} verb="Add">
      <TextField
        label="Domain"
        required
        value={name}
        onChange={(event) => setName(event.target.value)}
        placeholder="example.com"
        hint="What stands behind the @ of your senders."
      />
      <Check
        label="Receive mail for it, too"
        hint="Port 25 then accepts mail for its addresses, and the routes say where it goes."
        checked={inbound}
        onChange={(event) => setInbound(event.target.checked)}
      />
    </DialogForm>
  );
}
