// What is in a message: as it would look, as text, and as it is. The look is a document of its own in a frame without rights: no script runs
// there, and nothing is fetched from anywhere; the server says so in the document's own policy.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { useQuery } from '@tanstack/react-query';
import { size } from '#web/base/text.ts';
import { Refusal, addressOf, getText, useApi } from '#web/api/client.ts';
import type { MessageContent } from '#web/api/schema.ts';
import { look } from './button.tsx';
import { CodeBlock } from './copy.tsx';
import { Icon } from './icon.tsx';
import { Empty, Facts, Loaded, Notice, Section, Waiting } from './layout.tsx';

const VIEWS = [
  ['look', 'As it looks'],
  ['text', 'Text'],
  ['headers', 'Headers'],
  ['raw', 'Source'],
] as const;
type View = (typeof VIEWS)[number][0];
const SHOWN_CHARACTERS = 500_000;

export function MessageBody({ id, mode }: { readonly id: string; readonly mode: 'live' | 'sandbox' }): ReactNode {
  const content = useApi('/v1/messages/{id}/content', { id });
  const [chosen, setChosen] = useState<View | null>(null);
  if (content.error instanceof Refusal && content.error.status === 404) {
    return (
      <div className="card">
        <Empty icon="messages" title="The content is no longer here">
          {mode === 'live'
            ? 'It is kept only while somebody still waits for it: what was delivered is gone from this server.'
            : 'It was removed, or its time in the sandbox is over.'}
        </Empty>
      </div>
    );
  }
  return (
    <Loaded of={content}>
      {(data) => {
        const view = chosen ?? (data.html ? 'look' : 'text');
        return (
          <Section flush>
            <div className="border-b border-line px-4 py-3">
              <Facts
                of={[
                  [
                    'Subject',
                    <span key="s" className="font-medium">
                      {data.subject === '' ? '(no subject)' : data.subject}
                    </span>,
                  ],
                  ['From', data.from],
                  ['To', data.to],
                  ['Cc', data.cc],
                ]}
              />
            </div>
            <div role="group" aria-label="How to show it" className="flex flex-wrap gap-1 border-b border-line px-3 py-2">
              {VIEWS.filter(([name]) => name !== 'look' || data.html).map(([name, title]) => (
                <button
                  key={name}
                  type="button"
                  aria-pressed={view === name}
                  onClick={() => setChosen(name)}
                  className={`h-8 rounded-md px-2.5 font-medium ${view === name ? 'bg-accent-wash text-accent-strong' : 'text-soft hover:text-ink'}`}
                >
                  {title}
                </button>
              ))}
              <a href={addressOf('/v1/messages/{id}/body', { id })} download={`${id}.eml`} className={`${look('quiet')} ml-auto`}>
                <Icon name="download" size={16} /> Download
              </a>
            </div>
            <div className="p-4">
              {view === 'look' && <Look id={id} content={data} />}
              {view === 'text' && <pre className="wrap font-sans">{data.text === '' ? <span className="text-soft">It has no text part.</span> : data.text}</pre>}
              {view === 'headers' && <Headers content={data} />}
              {view === 'raw' && <Source id={id} />}
            </div>
            <Attachments id={id} content={data} />
          </Section>
        );
      }}
    </Loaded>
  );
}

function Look({ id, content }: { readonly id: string; readonly content: MessageContent }): ReactNode {
  return (
    <>
      {content.remote > 0 && (
        <div className="mb-3">
          <Notice tone="info" title="Remote content is blocked">
            This message wants to load {content.remote === 1 ? 'something' : `${content.remote} things`} from elsewhere. Nothing was fetched: opening it tells nobody.
          </Notice>
        </div>
      )}
      <iframe
        title="The message as it looks"
        sandbox=""
        referrerPolicy="no-referrer"
        src={addressOf('/v1/messages/{id}/rendered', { id })}
        className="h-[62vh] min-h-[320px] w-full rounded-lg border border-line bg-white [color-scheme:light]"
      />
    </>
  );
}

function Headers({ content }: { readonly content: MessageContent }): ReactNode {
  return (
    <dl className="grid gap-y-1.5 font-mono text-[12.5px]">
      {content.headers.map(({ name, value }, i) => (
        // Names repeat, and their order is what they are.
        // eslint-disable-next-line react/no-array-index-key
        <div key={i}>
          <dt className="inline font-semibold">{name}: </dt>
          <dd className="inline">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Source({ id }: { readonly id: string }): ReactNode {
  const source = useQuery({ queryKey: ['/v1/messages', id, 'body'], queryFn: () => getText('/v1/messages/{id}/body', { id }) });
  if (source.data === undefined) return <Waiting />;
  const cut = source.data.length > SHOWN_CHARACTERS;
  return (
    <>
      {cut && <p className="mb-2 text-soft">The beginning; download it to have all.</p>}
      <CodeBlock text={cut ? source.data.slice(0, SHOWN_CHARACTERS) : source.data} label="the source of the message" wrap />
    </>
  );
}

function Attachments({ id, content }: { readonly id: string; readonly content: MessageContent }): ReactNode {
  if (content.attachments.length === 0) return null;
  return (
    <ul aria-label="Attachments" className="flex flex-wrap gap-2 border-t border-line p-4">
      {content.attachments.map((attachment) => (
        <li key={attachment.n}>
          <a href={addressOf('/v1/messages/{id}/attachments/{n}', { id, n: attachment.n })} download={attachment.name} className={look('plain')}>
            <Icon name="download" size={16} />
            {attachment.name} <span className="text-[12px] font-normal text-soft">{size(attachment.sizeBytes)}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}
