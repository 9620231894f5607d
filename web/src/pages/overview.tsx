// How things stand: what became of the mail, how long it took, what waits and where, and what was just sent.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import { COUNTING, SPANS } from '#web/api/statistics.ts';
import type { Lane, LatencyStatistics, MailStatistics } from '#web/api/schema.ts';
import { count, span } from '#web/base/text.ts';
import { Columns } from '#web/charts/columns.tsx';
import { ButtonLink } from '#web/parts/button.tsx';
import { Choice } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { LaneBar, LaneLegend } from '#web/parts/lane-bar.tsx';
import { MessageTable } from '#web/parts/message-table.tsx';

const SHOWN = 8;
const FATES = [
  { key: 'delivered', name: 'delivered', fill: 'fill-p587', dot: 'bg-p587' },
  { key: 'captured', name: 'captured', fill: 'fill-p465', dot: 'bg-p465' },
  { key: 'deferred', name: 'deferred', fill: 'fill-p2525', dot: 'bg-p2525' },
  { key: 'bounced', name: 'bounced', fill: 'fill-bad', dot: 'bg-bad' },
] as const;
const HOUR = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

export default function Overview(): ReactNode {
  const [since, setSince] = useState('24h');
  const mail = useApi('/v1/statistics/mail', { since }, COUNTING);
  const latency = useApi('/v1/statistics/latency', { since }, COUNTING);
  const lanes = useApi('/v1/lanes', {}, { everyMs: 5_000 });
  const latest = useApi('/v1/messages', { limit: SHOWN }, { everyMs: 5_000 });
  return (
    <>
      <PageHead title="Overview" actions={<Choice label="Time" hideLabel value={since} onChange={(event) => setSince(event.target.value)} options={SPANS} />} />
      <Section title="Mail" about="Recipients, by what became of them.">
        <Loaded of={mail}>{(data) => <Fates mail={data} delivery={latency.data?.delivery.total ?? null} />}</Loaded>
      </Section>
      <Section title="Queue by destination" actions={<LaneLegend />}>
        <Loaded of={lanes}>{(data) => <Depths lanes={data.lanes} />}</Loaded>
      </Section>
      <Section
        title="Latest messages"
        flush
        actions={
          <ButtonLink to="/messages" kind="quiet">
            All messages
          </ButtonLink>
        }
      >
        <Loaded of={latest}>
          {(data) =>
            data.messages.length > 0 ? (
              <MessageTable messages={data.messages} compact />
            ) : (
              <Empty icon="messages" title="Nothing was sent yet">
                <p className="mb-3">Make a credential and take the snippet for your library.</p>
                <ButtonLink to="/credentials" icon="key" kind="primary">
                  To the credentials
                </ButtonLink>
              </Empty>
            )
          }
        </Loaded>
      </Section>
    </>
  );
}

function Fates({ mail, delivery }: { readonly mail: MailStatistics; readonly delivery: LatencyStatistics['delivery']['total'] | null }): ReactNode {
  const { totals, buckets } = mail;
  const of = (key: string): number => totals[key] ?? 0;
  const long = mail.span === 'day' || buckets.length > 48;
  const numbers: readonly (readonly [string, string])[] = [
    ['sent', count(of('accepted'))],
    ['delivered', count(of('delivered'))],
    ...(of('captured') > 0 ? [['captured', count(of('captured'))] as const] : []),
    ['put off', count(of('deferred'))],
    ['failed', count(of('bounced') + of('expired') + of('suppressed'))],
    ['median time', delivery?.p50Ms == null ? '–' : span(delivery.p50Ms)],
    ['99 % within', delivery?.p99Ms == null ? '–' : span(delivery.p99Ms)],
  ];
  const columns = buckets.map(({ at, counts }) => ({ at, values: { ...counts, bounced: (counts['bounced'] ?? 0) + (counts['expired'] ?? 0) + (counts['suppressed'] ?? 0) } }));
  return (
    <>
      <dl className="mb-4 grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-[repeat(auto-fit,minmax(110px,1fr))]">
        {numbers.map(([name, value]) => (
          <div key={name} className="flex flex-col-reverse rounded-lg bg-sunken px-3 py-2">
            <dt className="text-[12.5px] text-soft">{name}</dt>
            <dd className="text-[20px] leading-7 font-semibold tabular-nums">{value}</dd>
          </div>
        ))}
      </dl>
      <Columns title="Recipients over time" series={FATES} columns={columns} label={(at) => (long ? DAY : HOUR).format(new Date(at))} />
    </>
  );
}

function Depths({ lanes }: { readonly lanes: readonly Lane[] }): ReactNode {
  const depth = (lane: Lane): number => lane.ready + lane.leased + lane.deferred + lane.held;
  const deepest = lanes.toSorted((a, b) => depth(b) - depth(a)).slice(0, SHOWN);
  const first = deepest[0];
  if (first === undefined) return <p className="text-soft">Nothing waits.</p>;
  return (
    <ul className="grid gap-2.5">
      {deepest.map((lane) => (
        <li key={lane.lane} className="grid items-center gap-x-4 sm:grid-cols-[minmax(160px,320px)_1fr]">
          <span className="truncate font-mono text-[12.5px]" title={lane.lane}>
            {lane.lane}
          </span>
          <LaneBar lane={lane} most={depth(first)} />
        </li>
      ))}
    </ul>
  );
}
