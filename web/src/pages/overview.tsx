// How things stand: what waits and where, and what was just sent.

import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import type { Lane, MessageRow } from '#web/api/types.ts';
import { ButtonLink } from '#web/parts/button.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { LaneBar, LaneLegend } from '#web/parts/lane-bar.tsx';
import { MessageTable } from '#web/parts/message-table.tsx';

const SHOWN = 8;

export default function Overview(): ReactNode {
  const lanes = useApi<{ lanes: readonly Lane[] }>('/v1/lanes', { everyMs: 5_000 });
  const latest = useApi<{ messages: readonly MessageRow[] }>(`/v1/messages?limit=${SHOWN}`, { everyMs: 5_000 });
  return (
    <>
      <PageHead title="Overview" />
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
