// The two pictures of the traffic, each beside what is published about the world: which ports programs submit by, and how much is encrypted, by provider.

import { useState } from 'react';
import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import { COUNTING, SPANS } from '#web/api/statistics.ts';
import type { EncryptionStatistics, PortStatistics } from '#web/api/schema.ts';
import { PORTS, SUBMISSION_BY_PORT } from '#web/charts/baseline.ts';
import type { PortName, Share } from '#web/charts/baseline.ts';
import { ProviderBars } from '#web/charts/providers.tsx';
import type { ProviderBar } from '#web/charts/providers.tsx';
import { PortLegend, ShareColumns } from '#web/charts/share.tsx';
import { count } from '#web/base/text.ts';
import { Choice } from '#web/parts/form.tsx';
import { Loaded, PageHead, Section } from '#web/parts/layout.tsx';

const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const HOUR = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });

export default function Traffic(): ReactNode {
  const [since, setSince] = useState('7d');
  const ports = useApi('/v1/statistics/ports', { since }, COUNTING);
  const encryption = useApi('/v1/statistics/encryption', { since }, COUNTING);
  return (
    <>
      <PageHead
        title="Traffic"
        about="What this server sees, beside what is published about the world."
        actions={<Choice label="Time" hideLabel value={since} onChange={(event) => setSince(event.target.value)} options={SPANS} />}
      />
      <Section
        title="Submissions by port"
        about="Mail that programs submit with a credential. Port 25 is for other servers: here it counts no submissions."
        actions={<PortLegend />}
      >
        <Loaded of={ports}>{(data) => <PortCharts ports={data} />}</Loaded>
      </Section>
      <Section title="Encrypted, by provider" about="The mark on each bar is what the provider's own figures say.">
        <Loaded of={encryption}>{(data) => <EncryptionCharts of={data} />}</Loaded>
      </Section>
    </>
  );
}

function PortCharts({ ports }: { readonly ports: PortStatistics }): ReactNode {
  const label = ports.span === 'day' ? DAY : HOUR;
  const own: readonly Share[] = ports.buckets
    .map(({ at, counts }) => ({ label: label.format(new Date(at)), values: valuesOf((port) => (port === '25' ? 0 : (counts[port] ?? 0))) }))
    .filter(({ values }) => PORTS.some((port) => values[port] > 0));
  const inbound = ports.totals['25'] ?? 0;
  return (
    <>
      <div className="grid gap-8 lg:grid-cols-2">
        {own.length === 0 ? (
          <p className="self-center text-center text-soft">Nothing was submitted in this time.</p>
        ) : (
          <ShareColumns title="This server" rows={own.slice(-48)} unit="messages" />
        )}
        <ShareColumns title={`Published: ${ports.baseline.note}`} rows={SUBMISSION_BY_PORT} />
      </div>
      {inbound > 0 && <p className="mt-3 text-[13px] text-soft">Other servers brought {count(inbound)} messages by port 25.</p>}
    </>
  );
}

function valuesOf(of: (port: PortName) => number): Share['values'] {
  return { '587': of('587'), '465': of('465'), '25': of('25'), '2525': of('2525') };
}

function EncryptionCharts({ of }: { readonly of: EncryptionStatistics }): ReactNode {
  return (
    <>
      <div className="grid gap-8 lg:grid-cols-2">
        {(
          [
            ['Out: delivered to', of.outbound],
            ['In: received from', of.inbound],
          ] as const
        ).map(([title, providers]) => (
          <div key={title} className="min-w-0">
            <h3 className="mb-2 text-[13px] font-medium">{title}</h3>
            <ProviderBars label={title} bars={barsOf(providers, of.baseline.providers)} />
          </div>
        ))}
      </div>
      <p className="mt-3 text-[13px] text-soft">
        Published, {of.baseline.year}: {of.baseline.note}
      </p>
    </>
  );
}

/** Those that are published first, then whoever else there was. */
function barsOf(own: EncryptionStatistics['outbound'], published: EncryptionStatistics['baseline']['providers']): readonly ProviderBar[] {
  const known = published.map(({ provider, name, percent }) => {
    const seen = provider === null ? sumOf(own) : own.find((one) => one.provider === provider);
    return { name, percent: seen?.percent ?? null, messages: seen?.messages ?? 0, baseline: percent };
  });
  const others = own.filter(({ provider }) => !published.some((one) => one.provider === provider));
  return [...known, ...others.slice(0, 6).map(({ name, percent, messages }) => ({ name, percent, messages, baseline: null }))];
}

function sumOf(own: EncryptionStatistics['outbound']): { percent: number | null; messages: number } {
  const messages = own.reduce((sum, one) => sum + one.messages, 0);
  const encrypted = own.reduce((sum, one) => sum + one.encrypted, 0);
  return { messages, percent: messages === 0 ? null : (100 * encrypted) / messages };
}
