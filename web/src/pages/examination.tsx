// One examination: findings as they come, then the report, which can be shared by a link.

import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useParam } from '#web/base/router.tsx';
import { plural, span } from '#web/base/text.ts';
import { addressOf, keyOf, send, useApi } from '#web/api/client.ts';
import type { DoctorFinding, Examination } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Button, ButtonLink } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { Icon } from '#web/parts/icon.tsx';
import { Loaded, Notice, PageHead, Section } from '#web/parts/layout.tsx';
import { sayFailure } from '#web/parts/toast.tsx';
import { Verdict } from '#web/parts/verdict.tsx';
import { When } from '#web/parts/when.tsx';

const ORDER = ['fail', 'warn', 'pass', 'skip'] as const;

export default function ExaminationPage(): ReactNode {
  const id = useParam('id');
  const examination = useApi('/v1/doctor/{id}', { id });
  return (
    <Loaded of={examination}>
      {(data) => (
        <>
          <title>{`${data.target} · Doctor · Postern`}</title>
          <PageHead
            above={
              <Link to="/doctor" className="mb-1 inline-flex items-center gap-1 text-[13px] text-soft no-underline hover:text-ink">
                <Icon name="back" size={14} /> Doctor
              </Link>
            }
            title={data.target}
            about={
              <>
                {data.report === null ? 'Begun' : 'Examined'} <When at={data.startedAt} /> by {data.by}
                {data.report !== null && `, in ${span(data.report.durationMs)}`}
              </>
            }
            actions={
              <>
                <ButtonLink to={`/doctor?target=${encodeURIComponent(data.target)}`} icon="retry">
                  Examine again
                </ButtonLink>
                {data.report !== null && <Share examination={data} />}
              </>
            }
          />
          {data.status === 'running' && <Progress id={id} />}
          {data.failure !== null && (
            <Notice tone="bad" title={data.failure.cause}>
              {data.failure.fix}
            </Notice>
          )}
          {data.report !== null && <Report examination={data} />}
        </>
      )}
    </Loaded>
  );
}

/** What is found, as it is found: the server tells what came before, too. */
function Progress({ id }: { readonly id: string }): ReactNode {
  const queries = useQueryClient();
  const [found, setFound] = useState<readonly DoctorFinding[]>([]);
  const [doing, setDoing] = useState<string | null>(null);
  useEffect(() => {
    const source = new EventSource(addressOf('/v1/doctor/{id}/events', { id }));
    const read = <T,>(event: Event): T => JSON.parse((event as MessageEvent<string>).data) as T;
    const end = (): void => {
      source.close();
      void queries.invalidateQueries({ queryKey: keyOf(addressOf('/v1/doctor/{id}', { id })) });
    };
    source.addEventListener('begun', (event) => setDoing(read<{ what: string }>(event).what));
    source.addEventListener('found', (event) => {
      const { finding } = read<{ finding: DoctorFinding }>(event);
      setFound((before) => [...before.filter((one) => one.id !== finding.id), finding]);
    });
    source.addEventListener('done', end);
    source.addEventListener('failed', end);
    return () => source.close();
  }, [id, queries]);
  return (
    <Section title="Under way">
      <p role="status" className="pulse text-soft">
        {doing === null ? 'Beginning…' : `Now: ${doing}…`} {found.length > 0 && `${plural(found.length, 'check')} done.`}
      </p>
      <ul className="mt-2 grid gap-1">
        {found.map((finding) => (
          <li key={finding.id} className="appear flex gap-2">
            <Verdict of={finding.status} />
            <span className="min-w-0">
              {finding.title} <span className="text-soft">{finding.subject}</span>
            </span>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Report({ examination }: { readonly examination: Examination }): ReactNode {
  const { report } = examination;
  if (report === null) return null;
  const { summary } = report;
  const tones = { pass: 'good', warn: 'warn', fail: 'bad' } as const;
  return (
    <>
      <div className="mb-4 grid gap-2">
        <Notice tone={tones[summary.status]} title={sentence(summary.text)}>
          {plural(summary.fail, 'fault')}, {summary.warn} to look at, {summary.pass} fine, {summary.skip} not checked.
        </Notice>
        {examination.sharePath !== null && (
          <Notice tone="info" title="Whoever has this link reads the report, and nothing else.">
            <Copyable text={`${location.origin}${examination.sharePath}`} label="the link" />
          </Notice>
        )}
      </div>
      {ORDER.map((status) => {
        const findings = report.checks.filter((finding) => finding.status === status);
        return findings.length === 0 ? null : <Findings key={status} status={status} findings={findings} />;
      })}
    </>
  );
}

function Findings({ status, findings }: { readonly status: (typeof ORDER)[number]; readonly findings: readonly DoctorFinding[] }): ReactNode {
  const titles = { fail: 'Faults', warn: 'To look at', pass: 'Fine', skip: 'Not checked' } as const;
  const list = (
    <ul className="grid gap-3">
      {findings.map((finding) => (
        <li key={finding.id} className="border-t border-line pt-3 first:border-0 first:pt-0">
          <div className="flex flex-wrap items-center gap-2">
            <Verdict of={finding.status} />
            <h3 className="font-semibold">{finding.title}</h3>
            <span className="text-[13px] text-soft">{finding.subject}</span>
          </div>
          <p className="wrap mt-1 font-mono text-[12.5px]">{finding.evidence}</p>
          {finding.cause !== '' && <p className="mt-1">{finding.cause}</p>}
          {finding.fix !== '' && (
            <p className="mt-1 flex gap-2 rounded-lg bg-sunken px-3 py-2">
              <span className="mt-0.5 text-accent">
                <Icon name="advisor" size={16} />
              </span>
              <span className="wrap min-w-0">{finding.fix}</span>
            </p>
          )}
        </li>
      ))}
    </ul>
  );
  if (status === 'fail' || status === 'warn') return <Section title={titles[status]}>{list}</Section>;
  return (
    <Section>
      <details open={status === 'pass' && findings.length < 6}>
        <summary className="cursor-pointer text-[15px] font-semibold">
          {titles[status]} <span className="font-normal text-soft">{findings.length}</span>
        </summary>
        <div className="mt-3">{list}</div>
      </details>
    </Section>
  );
}

function Share({ examination }: { readonly examination: Examination }): ReactNode {
  const { id } = examination;
  const stale = [addressOf('/v1/doctor/{id}', { id })];
  const share = useAct({ act: () => send('POST /v1/doctor/{id}/share', { id }), stale, failed: sayFailure });
  const unshare = useAct({ act: () => send('DELETE /v1/doctor/{id}/share', { id }), stale, failed: sayFailure });
  return examination.sharePath === null ? (
    <Button busy={share.isPending} onClick={() => share.mutate(undefined)}>
      Share the report
    </Button>
  ) : (
    <Button busy={unshare.isPending} onClick={() => unshare.mutate(undefined)}>
      Stop sharing
    </Button>
  );
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}
