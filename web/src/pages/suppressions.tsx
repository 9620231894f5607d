// Addresses that get no more mail, and why; found, added by hand, and given another chance.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { Link, setQuery, useLocation } from '#web/base/router.tsx';
import { send, useApi } from '#web/api/client.ts';
import type { Suppression } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button, IconButton } from '#web/parts/button.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { DialogForm } from '#web/parts/dialog-form.tsx';
import { Choice, TextField } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { SearchField } from '#web/parts/search-field.tsx';
import { say } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const REASONS = [
  ['bounced', 'refused for good'],
  ['complained', 'complained'],
  ['unsubscribed', 'unsubscribed'],
  ['manual', 'added by hand'],
] as const;
const EVERYBODY = '*';
const PAGE = 100;

export default function Suppressions(): ReactNode {
  const { query } = useLocation();
  const filter = { to: query.get('to'), reason: query.get('reason'), before: query.get('before') };
  const answer = useApi('/v1/suppressions', { ...filter, limit: PAGE }, { keep: true });
  const [adding, setAdding] = useState(false);
  const [dialog, confirm] = useConfirm();
  const remove = useAct({
    act: ({ address, sender }: Suppression) => send('DELETE /v1/suppressions/{address}', { address, sender }),
    stale: ['/v1/suppressions'],
    done: (_, { address }) => say(`${address} gets mail again.`),
  });
  const next = answer.data?.next ?? null;
  const filtered = filter.to !== null || filter.reason !== null;
  return (
    <>
      {dialog}
      <PageHead
        title="Suppressions"
        about="Addresses that get no more mail. Whoever sends to one is told at once, instead of harming the reputation of the server with another bounce."
        actions={
          <Button kind="primary" icon="plus" onClick={() => setAdding(true)}>
            Add an address
          </Button>
        }
      />
      <form role="search" className="mb-4 flex flex-wrap items-end gap-2" onSubmit={(event) => event.preventDefault()}>
        <SearchField label="Address" placeholder="address or domain" value={filter.to ?? ''} onDone={(to) => setQuery({ to, before: null })} />
        <Choice
          label="Reason"
          value={filter.reason ?? ''}
          onChange={(event) => setQuery({ reason: event.target.value, before: null })}
          options={[['', 'any'], ...REASONS.map(([value, text]) => [value, text] as const)]}
        />
      </form>
      <Section flush>
        <Loaded of={answer}>
          {(data) =>
            data.suppressions.length === 0 ? (
              <Empty icon="block" title={filtered ? 'No entry is like that' : 'Nobody is suppressed'}>
                {filtered ? 'Look for another address, or a whole domain.' : 'When a receiver says that an address does not exist, it comes here by itself.'}
              </Empty>
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">Address</th>
                    <th scope="col">Reason</th>
                    <th scope="col">What was said</th>
                    <th scope="col">Mail of</th>
                    <th scope="col">Since</th>
                    <th scope="col">
                      <span className="sr-only">Actions</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {data.suppressions.map((entry) => (
                    <tr key={`${entry.address} ${entry.sender}`}>
                      <td data-label="Address" className="font-medium">
                        {entry.address}
                      </td>
                      <td data-label="Reason">
                        <Badge tone={entry.reason === 'manual' ? 'plain' : entry.reason === 'bounced' ? 'bad' : 'warn'}>
                          {REASONS.find(([value]) => value === entry.reason)?.[1] ?? entry.reason}
                        </Badge>
                      </td>
                      <td data-label="What was said" className="text-[13px]">
                        <span>
                          {[entry.enhanced, entry.text].filter((part) => part !== '').join(' ')}
                          {entry.remoteHost !== null && <span className="block text-soft">by {entry.remoteHost}</span>}
                          {entry.messageId !== null && (
                            <Link to={`/messages/${entry.messageId}`} className="block text-accent underline">
                              The message
                            </Link>
                          )}
                        </span>
                      </td>
                      <td data-label="Mail of">{entry.sender === EVERYBODY ? 'everybody' : entry.sender}</td>
                      <td data-label="Since">
                        <When at={entry.createdAt} />
                      </td>
                      <td>
                        <span className="-my-1.5 flex justify-end">
                          <IconButton
                            name={`Remove ${entry.address}`}
                            icon="close"
                            onClick={() =>
                              confirm({
                                title: `Send to ${entry.address} again?`,
                                text: 'Mail to it is delivered again. If it is refused again, it comes back here.',
                                verb: 'Remove from the list',
                                act: () => remove.mutateAsync(entry),
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
      {next !== null && (
        <div className="flex justify-end">
          <Button icon="next" onClick={() => setQuery({ before: next })}>
            Older
          </Button>
        </div>
      )}
      <AddSuppression open={adding} close={() => setAdding(false)} />
    </>
  );
}

function AddSuppression({ open, close }: { readonly open: boolean; readonly close: () => void }): ReactNode {
  const [address, setAddress] = useState('');
  const [sender, setSender] = useState('');
  const [note, setNote] = useState('');
  const add = useAct({
    act: () => send('POST /v1/suppressions', {}, { address: address.trim(), note: note.trim(), ...(sender.trim() === '' ? {} : { sender: sender.trim() }) }),
    stale: ['/v1/suppressions'],
    done: () => {
      say(`${address.trim()} gets no more mail.`);
      setAddress('');
      setNote('');
      close();
    },
  });
  return (
    <DialogForm open={open} close={close} title="Add an address" act={add} verb="Add">
      <TextField label="Address" type="email" required value={address} onChange={(event) => setAddress(event.target.value)} placeholder="ann@example.net" />
      <TextField
        label="Only mail of this domain of yours"
        value={sender}
        onChange={(event) => setSender(event.target.value)}
        placeholder="example.com"
        hint="Empty: mail of all senders."
      />
      <TextField label="Note" value={note} maxLength={500} onChange={(event) => setNote(event.target.value)} hint="Why, for whoever looks later." />
    </DialogForm>
  );
}
