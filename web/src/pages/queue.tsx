// What waits: by destination, and one by one, with the operator's verbs.

import type { ReactNode } from 'react';
import { Link, setQuery, useLocation } from '#web/base/router.tsx';
import { plural } from '#web/base/text.ts';
import { useApi, withQuery } from '#web/api/client.ts';
import type { Lane, QueueRow } from '#web/api/schema.ts';
import { useVerb } from '#web/api/verbs.ts';
import type { Changed, Selection, Verb } from '#web/api/verbs.ts';
import { Badge, Status } from '#web/parts/badge.tsx';
import { Button, IconButton } from '#web/parts/button.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { Choice } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { LaneBar, LaneLegend } from '#web/parts/lane-bar.tsx';
import { say, sayFailure } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const PAGE = 50;
const SAID: Readonly<Record<Verb, string>> = { retry: 'due now', hold: 'held', release: 'released', cancel: 'cancelled' };

function sayChanged(verb: Verb, { recipients, underWay }: Changed): void {
  say(`${plural(recipients, 'recipient')} ${SAID[verb]}${underWay > 0 ? `, ${underWay} more when they come back from delivery` : ''}.`);
}

export default function Queue(): ReactNode {
  const { query } = useLocation();
  const lane = query.get('lane');
  const state = query.get('state');
  const lanes = useApi('/v1/lanes', {}, { everyMs: 5_000 });
  const queued = useApi('/v1/queue', { lane, state: state ?? 'waiting', after: query.get('after'), limit: PAGE }, { everyMs: 5_000, keep: true });
  const next = queued.data?.next ?? null;
  const verb = useVerb(sayChanged, sayFailure);
  const [dialog, confirm] = useConfirm();
  const act = (name: Verb, selection: Selection): void => {
    if (name !== 'cancel') return verb.mutate({ verb: name, selection });
    const what = selection.by === 'message' ? 'this message' : selection.by === 'lane' ? 'everything that waits here' : 'everything that waits';
    return confirm({
      title: `Cancel ${what}?`,
      text: 'It is removed from the queue for good. Nobody is told: no notification goes to the sender.',
      verb: 'Cancel delivery',
      danger: true,
      act: () => verb.mutateAsync({ verb: 'cancel', selection }),
    });
  };
  return (
    <>
      {dialog}
      <PageHead
        title="Queue"
        about="Mail that was accepted and has not reached everyone yet. A lane is one destination: its mail is sent, slowed down and tried again together."
        actions={
          <>
            <Button icon="retry" onClick={() => act('retry', { by: 'all' })}>
              Try all now
            </Button>
            <Button icon="pause" onClick={() => act('hold', { by: 'all' })}>
              Hold all
            </Button>
            <Button icon="play" onClick={() => act('release', { by: 'all' })}>
              Release all
            </Button>
          </>
        }
      />
      <Section title="Lanes" flush actions={<LaneLegend />}>
        <Loaded of={lanes}>{(data) => <Lanes lanes={data.lanes} act={act} />}</Loaded>
      </Section>
      <Section
        title={lane === null ? 'Recipients that wait' : 'Recipients that wait in this lane'}
        {...(lane === null ? {} : { about: lane })}
        flush
        actions={
          <>
            {lane !== null && (
              <Button kind="quiet" icon="close" onClick={() => setQuery({ lane: null, after: null })}>
                All lanes
              </Button>
            )}
            <Choice
              label="State"
              hideLabel
              value={state ?? ''}
              onChange={(event) => setQuery({ state: event.target.value, after: null })}
              options={[
                ['', 'all that wait'],
                ['ready', 'ready'],
                ['leased', 'being sent'],
                ['deferred', 'deferred'],
                ['held', 'held'],
                ['captured', 'captured'],
              ]}
            />
          </>
        }
      >
        <Loaded of={queued}>{(data) => <Recipients rows={data.recipients} act={act} />}</Loaded>
      </Section>
      {next !== null && (
        <div className="flex justify-end">
          <Button icon="next" onClick={() => setQuery({ after: next })}>
            Next page
          </Button>
        </div>
      )}
    </>
  );
}

type Act = (verb: Verb, selection: Selection) => void;

function Lanes({ lanes, act }: { readonly lanes: readonly Lane[]; readonly act: Act }): ReactNode {
  if (lanes.length === 0) {
    return (
      <Empty icon="check" title="Nothing waits">
        Everything that was accepted has left, or was captured in the sandbox.
      </Empty>
    );
  }
  return (
    <table className="rows stack">
      <thead>
        <tr>
          <th scope="col">Destination</th>
          <th scope="col">Waiting</th>
          <th scope="col">Oldest</th>
          <th scope="col">Next try</th>
          <th scope="col">
            <span className="sr-only">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {lanes.map((lane) => {
          const selection = { by: 'lane', lane: lane.lane } as const;
          return (
            <tr key={lane.lane}>
              <td data-label="Destination" className="min-w-[200px]">
                <span>
                  <Link to={withQuery('/queue', { lane: lane.lane })} className="font-mono text-[12.5px] text-ink">
                    {lane.lane}
                  </Link>{' '}
                  {lane.onHold && <Badge tone="warn">on hold</Badge>}
                  {lane.backOffCause !== null && <span className="block text-[13px] text-warn">{lane.backOffCause}</span>}
                </span>
              </td>
              <td data-label="Waiting" className="min-w-[140px]">
                <LaneBar lane={lane} />
              </td>
              <td data-label="Oldest">
                <When at={lane.oldestAt} />
              </td>
              <td data-label="Next try">
                <When at={lane.backOffUntil ?? lane.nextAt} />
              </td>
              <td>
                <Verbs act={act} selection={selection} held={lane.onHold} name={`lane ${lane.lane}`} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Recipients({ rows, act }: { readonly rows: readonly QueueRow[]; readonly act: Act }): ReactNode {
  if (rows.length === 0) return <Empty icon="queue" title="No recipient is like that" />;
  return (
    <table className="rows stack">
      <thead>
        <tr>
          <th scope="col">State</th>
          <th scope="col">Recipient</th>
          <th scope="col">Last answer</th>
          <th scope="col">Tries</th>
          <th scope="col">Next try</th>
          <th scope="col">
            <span className="sr-only">Actions</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={`${row.id} ${row.n}`}>
            <td data-label="State">
              <Status of={row.state} />
            </td>
            <td data-label="Recipient" className="min-w-[220px]">
              <span>
                <Link to={`/messages/${row.id}`} className="font-medium text-ink">
                  {row.to}
                </Link>
                <span className="block text-[13px] text-soft">{row.subject === '' ? '(no subject)' : row.subject}</span>
              </span>
            </td>
            <td data-label="Last answer" className="min-w-[200px] text-[13px]">
              <span>
                {row.backOffCause ?? row.lastOutcome?.cause ?? <span className="text-soft">not tried yet</span>}
                {row.lastOutcome !== null && <span className="block text-soft">{row.lastOutcome.fix}</span>}
              </span>
            </td>
            <td data-label="Tries">{row.attempts}</td>
            <td data-label="Next try">
              <When at={row.nextAt} />
            </td>
            <td>{row.state !== 'captured' && <Verbs act={act} selection={{ by: 'message', id: row.id }} held={row.state === 'held'} name={`message to ${row.to}`} />}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Verbs({ act, selection, held, name }: { readonly act: Act; readonly selection: Selection; readonly held: boolean; readonly name: string }): ReactNode {
  return (
    <span className="-my-1.5 flex justify-end">
      <IconButton name={`Try now: ${name}`} icon="retry" onClick={() => act('retry', selection)} />
      <IconButton name={`${held ? 'Release' : 'Hold'}: ${name}`} icon={held ? 'play' : 'pause'} onClick={() => act(held ? 'release' : 'hold', selection)} />
      <IconButton name={`Cancel: ${name}`} icon="close" onClick={() => act('cancel', selection)} />
    </span>
  );
}
