// Where events are told: addresses, how each stands, what was told lately; a test, a replay, and the secret that signs.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { send, useApi } from '#web/api/client.ts';
import type { Event, Webhook, WebhookDelivery } from '#web/api/schema.ts';
import { EVENT_TYPES } from '#web/api/live.ts';
import { useAct } from '#web/api/verbs.ts';
import { plural, span } from '#web/base/text.ts';
import { Badge } from '#web/parts/badge.tsx';
import type { Tone } from '#web/parts/badge.tsx';
import { Button, IconButton } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { DialogForm, ShownOnce } from '#web/parts/dialog-form.tsx';
import { Check, TextField } from '#web/parts/form.tsx';
import { Empty, Facts, Loaded, Notice, PageHead, RefusalNotice, Section } from '#web/parts/layout.tsx';
import { say } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const STATES: Readonly<Record<Webhook['state'], Tone>> = { active: 'good', failing: 'warn', disabled: 'plain' };
const RESULTS: Readonly<Record<WebhookDelivery['result'], Tone>> = { delivered: 'good', failed: 'warn', 'given-up': 'bad' };
const STALE = ['/v1/webhooks'];

export default function Webhooks(): ReactNode {
  const webhooks = useApi('/v1/webhooks', {}, { everyMs: 5_000 });
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  return (
    <>
      <PageHead
        title="Webhooks"
        about="Events are told to these addresses: at least once, signed, and again until they are taken."
        actions={
          <Button kind="primary" icon="plus" onClick={() => setMaking(true)}>
            New webhook
          </Button>
        }
      />
      <Loaded of={webhooks}>
        {(data) =>
          data.webhooks.length === 0 ? (
            <Section>
              <Empty icon="hook" title="Nobody is told yet">
                Give the address of your application, and it hears of every delivery and every failure as it happens.
              </Empty>
            </Section>
          ) : (
            data.webhooks.map((webhook) => <One key={webhook.id} webhook={webhook} told={setSecret} />)
          )
        }
      </Loaded>
      <New
        open={making}
        close={() => setMaking(false)}
        made={(text) => {
          setMaking(false);
          setSecret(text);
        }}
      />
      <ShownOnce
        open={secret !== null}
        title="The secret that signs"
        warning="Take it now: it is not shown again."
        about="Your application checks each request with it (Standard Webhooks), so that nobody else can tell it stories."
        done={() => setSecret(null)}
      >
        <Copyable text={secret ?? ''} label="the secret" />
      </ShownOnce>
    </>
  );
}

function One({ webhook, told }: { readonly webhook: Webhook; readonly told: (secret: string) => void }): ReactNode {
  const { id } = webhook;
  const [open, setOpen] = useState(false);
  const [dialog, confirm] = useConfirm();
  const test = useAct({ act: () => send('POST /v1/webhooks/{id}/test', { id }), stale: STALE });
  const rotate = useAct({ act: () => send('POST /v1/webhooks/{id}/rotate', { id }), stale: STALE, done: (made) => told(made.secret) });
  const replay = useAct({
    act: () => send('POST /v1/webhooks/{id}/replay', { id }, { since: '24h' }),
    stale: STALE,
    done: () => say('What happened in the last 24 hours is told again.'),
  });
  const turn = useAct({ act: () => send(`POST /v1/webhooks/{id}/${webhook.state === 'disabled' ? 'enable' : 'disable'}`, { id }), stale: STALE });
  const remove = useAct({ act: () => send('DELETE /v1/webhooks/{id}', { id }), stale: STALE, done: () => say('The webhook is removed.') });
  return (
    <>
      {dialog}
      <Section
        title={<span className="break-all">{webhook.url}</span>}
        about={webhook.description === '' ? undefined : webhook.description}
        actions={
          <>
            <Button busy={test.isPending} onClick={() => test.mutate(undefined)}>
              Send a test
            </Button>
            <Button
              onClick={() =>
                confirm({
                  title: 'Tell the last 24 hours again?',
                  text: 'Every event of that time is sent once more, with its own id.',
                  verb: 'Tell again',
                  act: () => replay.mutateAsync(undefined),
                })
              }
            >
              Replay
            </Button>
            <Button
              onClick={() =>
                confirm({
                  title: 'Make a new secret?',
                  text: 'For a day both sign, so that you can change it without a gap.',
                  verb: 'New secret',
                  act: () => rotate.mutateAsync(undefined),
                })
              }
            >
              New secret
            </Button>
            <Button icon={webhook.state === 'disabled' ? 'play' : 'pause'} busy={turn.isPending} onClick={() => turn.mutate(undefined)}>
              {webhook.state === 'disabled' ? 'Enable' : 'Disable'}
            </Button>
            <IconButton
              name={`Remove ${webhook.url}`}
              icon="close"
              onClick={() =>
                confirm({ title: 'Remove the webhook?', text: 'What waits for it is not told any more.', verb: 'Remove', danger: true, act: () => remove.mutateAsync(undefined) })
              }
            />
          </>
        }
      >
        <Facts
          of={[
            [
              'State',
              <Badge key="state" tone={STATES[webhook.state]}>
                {webhook.state}
              </Badge>,
            ],
            ['Told', webhook.types === null ? 'everything' : webhook.types.map((type) => type.replace('message.', '')).join(', ')],
            ['Waits', webhook.pending === 0 ? 'nothing' : plural(webhook.pending, 'event')],
            ['Last taken', <When key="taken" at={webhook.lastSuccessAt} />],
            ['Failing since', webhook.failingSince === null ? null : <When key="failing" at={webhook.failingSince} />],
            ['Disabled, because', webhook.disabledCause],
          ]}
        />
        {test.data !== undefined && (
          <div className="mt-3">
            <Notice tone={test.data.taken ? 'good' : 'bad'} title={test.data.taken ? `Taken with ${test.data.status ?? ''} in ${span(test.data.durationMs)}.` : test.data.cause}>
              {test.data.taken ? undefined : test.data.fix}
            </Notice>
          </div>
        )}
        {test.error !== null && <RefusalNotice error={test.error} />}
        <Button kind="quiet" className="mt-3" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Hide what was told' : 'What was told'}
        </Button>
        {open && <Deliveries id={id} />}
      </Section>
    </>
  );
}

function Deliveries({ id }: { readonly id: string }): ReactNode {
  const deliveries = useApi('/v1/webhooks/{id}/deliveries', { id, limit: 20 }, { everyMs: 5_000 });
  return (
    <Loaded of={deliveries}>
      {(data) =>
        data.deliveries.length === 0 ? (
          <p className="text-soft">Nothing yet.</p>
        ) : (
          <div className="overflow-x-auto">
            <table className="rows stack mt-2">
              <thead>
                <tr>
                  <th scope="col">When</th>
                  <th scope="col">Event</th>
                  <th scope="col">Attempt</th>
                  <th scope="col">Result</th>
                  <th scope="col">Answer</th>
                </tr>
              </thead>
              <tbody>
                {data.deliveries.map((one) => (
                  <tr key={one.key}>
                    <td data-label="When">
                      <When at={one.at} />
                    </td>
                    <td data-label="Event">{one.type}</td>
                    <td data-label="Attempt">{one.attempt}</td>
                    <td data-label="Result">
                      <Badge tone={RESULTS[one.result]}>{one.result}</Badge>
                    </td>
                    <td data-label="Answer" className="text-[13px]">
                      {one.status === null ? '' : `${one.status} `}in {span(one.durationMs)}
                      {one.cause !== '' && <span className="block text-soft">{`${one.cause} ${one.fix}`}</span>}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )
      }
    </Loaded>
  );
}

function New({ open, close, made }: { readonly open: boolean; readonly close: () => void; readonly made: (secret: string) => void }): ReactNode {
  const [url, setUrl] = useState('');
  const [description, setDescription] = useState('');
  const [types, setTypes] = useState<readonly Event['type'][]>([]);
  const add = useAct({
    act: () => send('POST /v1/webhooks', {}, { url: url.trim(), description, types: types.length === 0 ? null : types }),
    stale: STALE,
    done: ({ secret }) => {
      setUrl('');
      setDescription('');
      setTypes([]);
      made(secret);
    },
  });
  return (
    <DialogForm open={open} close={close} title="New webhook" act={add} verb="Create">
      <TextField label="Address" type="url" required value={url} onChange={(event) => setUrl(event.target.value)} placeholder="https://app.example.com/hooks/mail" />
      <TextField label="What it is for" value={description} onChange={(event) => setDescription(event.target.value)} />
      <fieldset>
        <legend className="mb-1.5 text-[13px] font-medium">It is told of (nothing chosen: everything)</legend>
        <div className="grid grid-cols-2 gap-1.5 sm:grid-cols-3">
          {EVENT_TYPES.map((type) => (
            <Check
              key={type}
              label={type.replace('message.', '')}
              checked={types.includes(type)}
              onChange={(event) => setTypes(event.target.checked ? [...types, type] : types.filter((one) => one !== type))}
            />
          ))}
        </div>
      </fieldset>
    </DialogForm>
  );
}
