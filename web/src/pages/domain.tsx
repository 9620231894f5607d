// One domain: what to publish, whether it is there, and what is wrong in words.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Link, navigate, useParam } from '#web/base/router.tsx';
import { dateTime } from '#web/base/text.ts';
import { addressOf, keyOf, send, useApi } from '#web/api/client.ts';
import type { Body } from '#web/api/client.ts';
import type { DnsFinding, DnsRecord, DomainCheck, DomainDetail } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { Badge } from '#web/parts/badge.tsx';
import type { Tone } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { Copyable } from '#web/parts/copy.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { Icon } from '#web/parts/icon.tsx';
import { Loaded, Notice, PageHead, Section } from '#web/parts/layout.tsx';
import { say, sayFailure } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

type Step = NonNullable<Body<'POST /v1/domains/{name}/rotate'>['step']>;

const TONES: Readonly<Record<string, readonly [Tone, string]>> = {
  right: ['good', 'right'],
  missing: ['bad', 'missing'],
  wrong: ['bad', 'wrong'],
  unknown: ['warn', 'could not be asked'],
  unchecked: ['plain', 'not checked yet'],
};

/** What each record is for, in words. */
const PURPOSES: Readonly<Record<string, readonly [string, string]>> = {
  spf: ['SPF', 'Says which servers may send for the domain.'],
  'dkim-rsa': ['DKIM, RSA', 'The key that signatures are checked with, for every receiver.'],
  'dkim-ed25519': ['DKIM, Ed25519', 'A second, shorter key for receivers that know it.'],
  dmarc: ['DMARC', 'What receivers do with mail that neither SPF nor DKIM speaks for, and where they report it.'],
  'return-path': ['Return path', 'Bounces come back to a name under the domain, so that SPF speaks for it too.'],
  mx: ['MX', 'Where mail for the domain is delivered.'],
  'mta-sts': ['MTA-STS', 'Senders must use TLS when they deliver here.'],
  'mta-sts-host': ['MTA-STS host', 'Where senders find that policy.'],
  tlsrpt: ['TLS reports', 'Where senders report that TLS failed.'],
};

export default function Domain(): ReactNode {
  const name = useParam('name');
  const place = addressOf('/v1/domains/{name}', { name });
  const queries = useQueryClient();
  const domain = useApi('/v1/domains/{name}', { name });
  const [checked, setChecked] = useState<DomainCheck | null>(null);
  const [dialog, confirm] = useConfirm();
  const check = useAct({
    act: () => send('POST /v1/domains/{name}/check', { name }),
    stale: ['/v1/domains'],
    done: (found) => {
      setChecked(found);
      queries.setQueryData(keyOf(place), found);
    },
    failed: sayFailure,
  });
  const rotate = useAct({ act: (step: Step) => send('POST /v1/domains/{name}/rotate', { name }, { step }), stale: [place], failed: sayFailure, done: () => setChecked(null) });
  const remove = useAct({
    act: () => send('DELETE /v1/domains/{name}', { name }),
    stale: ['/v1/domains'],
    done: () => {
      say(`${name} was removed.`);
      navigate('/domains');
    },
  });
  return (
    <>
      {dialog}
      <PageHead
        above={
          <Link to="/domains" className="mb-1 inline-flex items-center gap-1 text-[13px] text-soft no-underline hover:text-ink">
            <Icon name="back" size={14} /> Domains
          </Link>
        }
        title={name}
        about="Publish these records where the domain's DNS is kept, then check."
        actions={
          <>
            <Button
              kind="danger"
              onClick={() =>
                confirm({
                  title: `Remove ${name}?`,
                  text: 'Its signing keys go with it: mail in its name is no longer signed, and its records can be taken out of the DNS.',
                  verb: 'Remove',
                  danger: true,
                  act: () => remove.mutateAsync(undefined),
                })
              }
            >
              Remove
            </Button>
            <Button kind="primary" icon="retry" busy={check.isPending} onClick={() => check.mutate(undefined)}>
              {check.isPending ? 'Looking…' : 'Check now'}
            </Button>
          </>
        }
      />
      <Loaded of={domain}>
        {(data) => {
          const shown = checked ?? data;
          return (
            <>
              <Summary domain={shown} />
              {shown.records.map((record) => (
                <RecordCard key={`${record.type} ${record.name} ${record.purpose}`} record={record} />
              ))}
              <Keys domain={shown} rotate={(step) => rotate.mutate(step)} busy={rotate.isPending} />
            </>
          );
        }}
      </Loaded>
    </>
  );
}

function Summary({ domain }: { readonly domain: DomainDetail | DomainCheck }): ReactNode {
  const right = domain.records.filter((record) => record.status === 'right').length;
  const all = domain.records.length;
  const changes = 'changes' in domain ? domain.changes : [];
  return (
    <div className="mb-4 grid gap-2" aria-live="polite">
      {domain.checkedAt === null ? (
        <Notice tone="info" title="Not checked yet">
          The check asks the DNS as receivers do, and begins to sign with keys that are published.
        </Notice>
      ) : right === all ? (
        <Notice tone="good" title={`All ${all} records are right.`}>
          Checked <When at={domain.checkedAt} />.
        </Notice>
      ) : (
        <Notice tone="warn" title={`${right} of ${all} records are right.`}>
          Checked <When at={domain.checkedAt} />. What is to be done stands at each record.
        </Notice>
      )}
      {changes.map((change) => (
        <Notice key={change} tone="good" title={change} />
      ))}
    </div>
  );
}

function RecordCard({ record }: { readonly record: DnsRecord | DnsFinding }): ReactNode {
  const [tone, word] = TONES[record.status] ?? (['plain', record.status] as const);
  /** After a check. */
  const finding = 'found' in record ? record : null;
  const [title, about] = PURPOSES[record.purpose] ?? ([record.purpose, ''] as const);
  return (
    <Section
      title={
        <span className="flex flex-wrap items-center gap-2">
          {title} <Badge tone={tone}>{word}</Badge>
        </span>
      }
      about={about}
    >
      <dl className="grid gap-x-4 gap-y-1 sm:grid-cols-[72px_1fr]">
        <dt className="leading-7 text-soft">Type</dt>
        <dd className="font-mono text-[12.5px] leading-7">{record.type}</dd>
        <dt className="leading-7 text-soft">Name</dt>
        <dd className="min-w-0">
          <Copyable text={record.name} label={`the name of the ${title} record`} />
        </dd>
        <dt className="leading-7 text-soft">Value</dt>
        <dd className="min-w-0">
          <Copyable text={record.value} label={`the value of the ${title} record`} />
        </dd>
        {finding !== null && finding.found.length > 0 && record.status !== 'right' && (
          <>
            <dt className="leading-7 text-soft">Found</dt>
            <dd className="min-w-0 font-mono text-[12.5px] leading-7">
              {finding.found.map((text) => (
                <span key={text} className="block">
                  {text}
                </span>
              ))}
            </dd>
          </>
        )}
      </dl>
      {finding !== null && finding.cause !== null && (
        <div className="mt-2">
          <Notice tone={record.status === 'unknown' ? 'warn' : 'bad'} title={finding.cause}>
            {finding.fix}
          </Notice>
        </div>
      )}
      {finding?.notes.map((note) => (
        <p key={note} className="mt-2 text-[13px] text-soft">
          {note}
        </p>
      ))}
    </Section>
  );
}

function Keys({ domain, rotate, busy }: { readonly domain: DomainDetail; readonly rotate: (step: Step) => void; readonly busy: boolean }): ReactNode {
  const underWay = domain.keys.some((key) => key.state === 'next') && domain.keys.some((key) => key.state === 'active');
  return (
    <Section
      title="Signing keys"
      about="Two kinds, so that every receiver can check at least one."
      flush
      actions={
        underWay ? (
          <>
            <Button busy={busy} onClick={() => rotate('cancel')}>
              Drop the new ones
            </Button>
            <Button busy={busy} onClick={() => rotate('confirm')}>
              They are published: use them
            </Button>
          </>
        ) : (
          <Button busy={busy} icon="retry" onClick={() => rotate('start')}>
            Change keys
          </Button>
        )
      }
    >
      <table className="rows stack">
        <thead>
          <tr>
            <th scope="col">Selector</th>
            <th scope="col">Algorithm</th>
            <th scope="col">State</th>
            <th scope="col">Made</th>
          </tr>
        </thead>
        <tbody>
          {domain.keys.map((key) => (
            <tr key={key.selector}>
              <td data-label="Selector" className="font-mono text-[12.5px]">
                {key.selector}
              </td>
              <td data-label="Algorithm">{key.algorithm}</td>
              <td data-label="State">
                <Badge tone={key.state === 'active' ? 'good' : 'plain'}>{key.state === 'active' ? 'signs' : key.state === 'next' ? 'waits for its record' : key.state}</Badge>
              </td>
              <td data-label="Made">{dateTime(key.createdAt)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Section>
  );
}
