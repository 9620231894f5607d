// One message: what became of it for each recipient, step by step, with everything that was said; and what is in it.

import type { ReactNode } from 'react';
import { Link, useParam } from '#web/base/router.tsx';
import { dateTime, plural, size } from '#web/base/text.ts';
import { useApi } from '#web/api/client.ts';
import type { Message as Detail } from '#web/api/schema.ts';
import { useVerb } from '#web/api/verbs.ts';
import { Badge, Status } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { Icon } from '#web/parts/icon.tsx';
import { Facts, Loaded, Notice, PageHead, Section } from '#web/parts/layout.tsx';
import { MessageBody } from '#web/parts/message-body.tsx';
import { Tabs } from '#web/parts/tabs.tsx';
import { Timeline } from '#web/parts/timeline.tsx';
import { say, sayFailure } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const OPEN = new Set(['queued', 'deferred', 'held', 'partial']);

export default function Message(): ReactNode {
  const id = useParam('id');
  const message = useApi('/v1/messages/{id}', { id }, { everyMs: 10_000 });
  return (
    <Loaded of={message}>
      {(data) => (
        <>
          <PageHead
            above={
              <Link to={data.mode === 'sandbox' ? '/sandbox' : '/messages'} className="mb-1 inline-flex items-center gap-1 text-[13px] text-soft no-underline hover:text-ink">
                <Icon name="back" size={14} /> {data.mode === 'sandbox' ? 'Sandbox' : 'Messages'}
              </Link>
            }
            title={data.subject === '' ? '(no subject)' : data.subject}
            about={
              <span className="flex flex-wrap items-center gap-2">
                <Status of={data.status} /> accepted <When at={data.acceptedAt} />
                {data.mode === 'sandbox' && <Badge tone="box">sandbox: it never leaves</Badge>}
              </span>
            }
            actions={OPEN.has(data.status) ? <Verbs message={data} /> : undefined}
          />
          <Tabs
            label="Parts of the message"
            tabs={[
              { id: 'trace', label: 'What happened', body: <Trace message={data} /> },
              { id: 'content', label: 'Content', body: <MessageBody id={data.id} mode={data.mode} /> },
              { id: 'facts', label: 'Facts', body: <AllFacts message={data} /> },
            ]}
          />
        </>
      )}
    </Loaded>
  );
}

function Verbs({ message }: { readonly message: Detail }): ReactNode {
  const [dialog, confirm] = useConfirm();
  const words = { retry: 'Tried again at once.', hold: 'Held until it is released.', release: 'Released.', cancel: 'Cancelled.' } as const;
  const verb = useVerb((name, { recipients, underWay }) => say(recipients + underWay === 0 ? 'Nothing of it waits any more.' : words[name]), sayFailure);
  const selection = { by: 'message', id: message.id } as const;
  const held = message.recipients.some(({ status }) => status === 'held');
  return (
    <>
      {dialog}
      <Button icon="retry" busy={verb.isPending} onClick={() => verb.mutate({ verb: 'retry', selection })}>
        Try now
      </Button>
      <Button icon={held ? 'play' : 'pause'} onClick={() => verb.mutate({ verb: held ? 'release' : 'hold', selection })}>
        {held ? 'Release' : 'Hold'}
      </Button>
      <Button
        kind="danger"
        onClick={() =>
          confirm({
            title: 'Cancel delivery?',
            text: 'Recipients who have not got it yet never will. Nobody is told.',
            verb: 'Cancel delivery',
            danger: true,
            act: () => verb.mutateAsync({ verb: 'cancel', selection }),
          })
        }
      >
        Cancel
      </Button>
    </>
  );
}

function Trace({ message }: { readonly message: Detail }): ReactNode {
  return (
    <>
      <Section title={plural(message.recipients.length, 'recipient')} flush>
        <table className="rows stack">
          <thead>
            <tr>
              <th scope="col">Recipient</th>
              <th scope="col">Status</th>
              <th scope="col">How it stands</th>
              <th scope="col">Tries</th>
              <th scope="col">Next try</th>
            </tr>
          </thead>
          <tbody>
            {message.recipients.map((recipient) => (
              <tr key={recipient.n}>
                <td data-label="Recipient">
                  <span>
                    <span className="font-medium">{recipient.to}</span>
                    {recipient.via !== undefined && <span className="block text-[13px] text-soft">by way of {recipient.via}</span>}
                  </span>
                </td>
                <td data-label="Status">
                  <Status of={recipient.status} />
                </td>
                <td data-label="How it stands" className="min-w-[240px]">
                  <span>
                    {recipient.lastOutcome === null ? <span className="text-soft">not tried yet</span> : recipient.lastOutcome.cause || recipient.lastOutcome.text}
                    {recipient.lastOutcome !== null && recipient.lastOutcome.fix !== '' && <span className="block text-[13px] text-soft">{recipient.lastOutcome.fix}</span>}
                  </span>
                </td>
                <td data-label="Tries">{recipient.attempts}</td>
                <td data-label="Next try">
                  <When at={recipient.nextAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Section>
      <Section title="Step by step">
        <Timeline message={message} />
      </Section>
    </>
  );
}

function AllFacts({ message }: { readonly message: Detail }): ReactNode {
  const { envelope } = message;
  const { origin } = envelope;
  return (
    <Section>
      {origin.tls === null && origin.profile !== 'mx' && origin.profile !== 'api' && origin.profile !== 'local' && <Notice tone="warn" title="It came without TLS." />}
      <Facts
        of={[
          ['Queue id', <Copyable key="id" text={message.id} label="the queue id" />],
          ['Message-ID', message.messageIdHeader === '' ? null : <Copyable key="mid" text={message.messageIdHeader} label="the Message-ID" />],
          ['From (envelope)', message.from === '' ? '(empty sender: a notification)' : message.from],
          ['Size', size(message.sizeBytes)],
          ['Accepted', dateTime(message.acceptedAt)],
          ['Gives up', dateTime(envelope.expiresAt)],
          ['Came in by', origin.profile],
          ['Credential', origin.credential],
          ['From host', [origin.helo, origin.clientAddress].filter((part) => part !== '').join(' at ')],
          ['TLS on the way in', origin.tls ?? 'none'],
          [
            'Needs',
            [envelope.requireTls ? 'TLS all the way (REQUIRETLS)' : '', envelope.smtpUtf8 ? 'SMTPUTF8' : '', envelope.eightBit ? '8BITMIME' : '']
              .filter((part) => part !== '')
              .join(', '),
          ],
        ]}
      />
    </Section>
  );
}
