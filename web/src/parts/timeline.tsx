// What happened to a message, in order: each attempt with what the other side said, how it was secured, what it means and what to do.

import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import type { Message, Outcome, Security, Transcript as Said } from '#web/api/schema.ts';
import { dateTime, span, timeOfDay } from '#web/base/text.ts';
import { statusTone } from './badge.tsx';
import { Icon } from './icon.tsx';
import { Facts } from './layout.tsx';
import { Transcript } from './transcript.tsx';
import { When } from './when.tsx';

type Happened = Message['events'][number];

const DOTS = { good: 'bg-good', warn: 'bg-warn', bad: 'bg-bad', info: 'bg-info', box: 'bg-box', plain: 'bg-line-strong' } as const;
const TITLES: Readonly<Record<string, string>> = {
  accepted: 'Accepted, and safe on disk',
  delivered: 'Delivered',
  deferred: 'Put off',
  bounced: 'Refused for good',
  expired: 'Given up: time is over',
  captured: 'Captured in the sandbox',
  held: 'Held',
  released: 'Released',
  cancelled: 'Cancelled',
  retried: 'To be tried again at once',
  returned: 'A report came back',
} satisfies Readonly<Record<Happened['type'], string>>;

export function Timeline({ message }: { readonly message: Message }): ReactNode {
  const several = message.recipients.length > 1;
  const transcripts = useApi('/v1/messages/{id}/transcripts', { id: message.id }, { everyMs: 5_000 });
  const saidAt = ({ n, outcome }: Happened): Said | undefined =>
    transcripts.data?.transcripts.find(({ startedAt, recipients }) => startedAt === outcome?.startedAt && n !== null && recipients.includes(n));
  return (
    <ol className="ml-1.5 border-l-2 border-line">
      {message.events.map((event) => (
        <li key={`${event.seq} ${event.n ?? ''} ${event.type}`} className="relative pb-5 pl-5 last:pb-0">
          <span className={`absolute top-[5px] -left-[7px] size-3 rounded-full border-2 border-panel ${DOTS[statusTone(event.type)]}`} aria-hidden="true" />
          <div className="flex flex-wrap items-baseline gap-x-3">
            <h3 className="font-semibold">
              {TITLES[event.type] ?? event.type}
              {several && event.n !== null && <span className="font-normal text-soft"> for {message.recipients[event.n]?.to ?? ''}</span>}
            </h3>
            <time dateTime={event.at} title={dateTime(event.at)} className="text-[13px] text-soft">
              {timeOfDay(event.at)}
            </time>
          </div>
          {event.type === 'accepted' ? <Arrival message={message} /> : event.outcome !== null && <Attempt event={event} outcome={event.outcome} said={saidAt(event)} />}
        </li>
      ))}
    </ol>
  );
}

function Arrival({ message }: { readonly message: Message }): ReactNode {
  const { origin } = message.envelope;
  return (
    <p className="text-soft">
      From {origin.credential === null ? origin.helo || 'here' : `“${origin.credential}”`}
      {origin.clientAddress === '' ? '' : ` at ${origin.clientAddress}`}, by {origin.profile}
      {origin.tls === null ? '' : `, with ${origin.tls}`}.
    </p>
  );
}

function Attempt({ event, outcome, said: transcript }: { readonly event: Happened; readonly outcome: Outcome; readonly said: Said | undefined }): ReactNode {
  const place = outcome.remoteHost === null ? null : `${outcome.remoteHost}${outcome.remotePort === null ? '' : `:${outcome.remotePort}`}`;
  const said = [outcome.code === 0 ? '' : String(outcome.code), outcome.enhanced, outcome.text].filter((part) => part !== '').join(' ');
  return (
    <div className="mt-1 grid min-w-0 gap-2">
      <p>{outcome.cause}</p>
      {outcome.fix !== '' && outcome.verdict !== 'delivered' && (
        <p className="flex gap-2 rounded-lg bg-sunken px-3 py-2">
          <span className="mt-0.5 text-accent">
            <Icon name="advisor" size={16} />
          </span>
          <span>
            <span className="sr-only">What to do: </span>
            {outcome.fix}
          </span>
        </p>
      )}
      {said !== '' && (
        <p className="font-mono text-[12.5px]">
          <span className="sr-only">The answer: </span>
          {said}
        </p>
      )}
      {event.nextAt !== null && (
        <p className="text-[13px] text-soft">
          Next try: <When at={event.nextAt} />
        </p>
      )}
      {outcome.possibleDuplicate && <p className="text-[13px] text-warn">The connection broke after the content: the receiver may have it already.</p>}
      <Tls outcome={outcome} />
      {transcript !== undefined && (
        <details className="text-[13px]">
          <summary className="cursor-pointer text-soft hover:text-ink">What was said</summary>
          <div className="mt-2">
            <Transcript of={transcript} />
          </div>
        </details>
      )}
      <details className="text-[13px]">
        <summary className="cursor-pointer text-soft hover:text-ink">Details of this attempt</summary>
        <div className="mt-2 grid gap-3">
          <Facts
            of={[
              ['Server', place],
              ['Address', outcome.remoteAddress],
              ['Route', outcome.route],
              ['Took', span(outcome.durationMs)],
              ['Class', outcome.class],
              ['Concerns', outcome.scope],
              ['Server said last', outcome.said],
            ]}
          />
        </div>
      </details>
    </div>
  );
}

function Tls({ outcome }: { readonly outcome: Outcome }): ReactNode {
  const { security, tls, remoteHost } = outcome;
  if (remoteHost === null && security === undefined) return null;
  const secure = tls !== null && tls !== 'none';
  return (
    <p className={`flex items-start gap-1.5 text-[13px] ${secure ? 'text-good' : 'text-warn'}`}>
      <Icon name={secure ? 'lock' : 'unlock'} size={16} />
      <span>
        {secure ? tls : 'No encryption on this connection'}
        {security !== undefined && <span className="text-soft"> · {sentence(security)}</span>}
      </span>
    </p>
  );
}

function sentence(security: Security): string {
  return [security.why, security.verdict].filter((part) => part !== '').join('; ');
}
