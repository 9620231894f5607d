// The advisor: four questions, one answer: the port, its encryption, and a configuration that requires it.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { send, useApi } from '#web/api/client.ts';
import type { Advice } from '#web/api/schema.ts';
import { useAct } from '#web/api/verbs.ts';
import { libraryName } from '#web/base/text.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { CodeBlock } from '#web/parts/copy.tsx';
import { Cards, Check, Choice, TextField } from '#web/parts/form.tsx';
import { PageHead, RefusalNotice, Section } from '#web/parts/layout.tsx';
import { Icon } from '#web/parts/icon.tsx';

type Scenario = Advice['scenario'];

const SCENARIOS: readonly { readonly value: Scenario; readonly title: string; readonly text: string }[] = [
  { value: 'app', title: 'An application', text: 'Sign-ups, receipts, alerts.' },
  { value: 'esp', title: 'A mail service', text: 'Newsletters, or all mail, go through a provider.' },
  { value: 'own-server', title: 'A mail server of my own', text: 'It receives mail, and people send with it.' },
  { value: 'locked-cloud', title: 'A locked-down cloud', text: 'The network blocks mail ports.' },
];
const ENCRYPTIONS = { 'starttls-required': 'STARTTLS, required', 'implicit-tls': 'TLS from the first byte', https: 'HTTPS' } as const;
const BLOCKABLE = [25, 465, 587, 2525];

export default function Advisor(): ReactNode {
  const libraries = useQuery({ queryKey: ['libraries'], queryFn: async () => (await import('#knowledge/libraries.ts')).LIBRARIES, staleTime: Infinity });
  const providers = useApi('/v1/advise/providers', {});
  const [scenario, setScenario] = useState<Scenario>('app');
  const [library, setLibrary] = useState('');
  const [provider, setProvider] = useState('');
  const [host, setHost] = useState('');
  const [blocked, setBlocked] = useState<readonly number[]>([]);
  const [probe, setProbe] = useState(false);
  const ask = useAct({
    act: () =>
      send(
        'POST /v1/advise',
        {},
        {
          scenario,
          library: library === '' ? null : library,
          provider: provider === '' ? null : provider,
          host: host.trim() === '' ? null : host.trim(),
          blocked,
          probe,
        },
      ),
    stale: [],
  });
  return (
    <>
      <PageHead
        title="Advisor"
        about="Who are you, what do you connect to, what does your network allow: the right port, the right encryption, and a configuration that insists on it."
      />
      <Section>
        <form
          className="grid gap-4"
          onSubmit={(event) => {
            event.preventDefault();
            ask.mutate(undefined);
          }}
        >
          <Cards label="Who sends?" value={scenario} onChange={setScenario} options={SCENARIOS} />
          <div className="grid gap-4 sm:grid-cols-2">
            <Choice
              label="With what?"
              value={library}
              onChange={(event) => setLibrary(event.target.value)}
              className="w-full"
              options={[['', 'the usual one'], ...(libraries.data ?? []).map((one) => [one.id, libraryName(one)] as const)]}
            />
            <Choice
              label="Through which service?"
              value={provider}
              onChange={(event) => setProvider(event.target.value)}
              className="w-full"
              options={[['', 'this server'], ...(providers.data?.providers ?? []).map((one) => [one.id, one.name] as const)]}
            />
            <TextField
              label="To which host?"
              value={host}
              onChange={(event) => setHost(event.target.value)}
              placeholder="smtp.example.com"
              hint="Empty: the service's, or this server."
            />
            <fieldset>
              <legend className="mb-1 text-[13px] font-medium">What does the network block?</legend>
              <div className="flex flex-wrap gap-x-4 gap-y-1">
                {BLOCKABLE.map((port) => (
                  <Check
                    key={port}
                    label={String(port)}
                    checked={blocked.includes(port)}
                    onChange={(event) => setBlocked(event.target.checked ? [...blocked, port] : blocked.filter((one) => one !== port))}
                  />
                ))}
              </div>
            </fieldset>
          </div>
          <Check label="Look, from this server" hint="Tries the ports of the host, and says what it saw." checked={probe} onChange={(event) => setProbe(event.target.checked)} />
          {ask.error !== null && <RefusalNotice error={ask.error} />}
          <div>
            <Button kind="primary" type="submit" icon="advisor" busy={ask.isPending}>
              {ask.isPending && probe ? 'Looking…' : 'Advise'}
            </Button>
          </div>
        </form>
      </Section>
      <div aria-live="polite">{ask.data !== undefined && <Answer advice={ask.data} />}</div>
    </>
  );
}

function Answer({ advice }: { readonly advice: Advice }): ReactNode {
  return (
    <>
      <Section>
        <div className="flex flex-wrap items-center gap-x-5 gap-y-2">
          <span className="text-[40px] leading-none font-semibold tracking-tight">{advice.encryption === 'https' ? 'HTTP API' : advice.port}</span>
          <span>
            <span className="flex items-center gap-1.5 font-medium text-good">
              <Icon name="lock" />
              {ENCRYPTIONS[advice.encryption]}
            </span>
            <span className="text-soft">at {advice.host}</span>
          </span>
          {!advice.usable && <Badge tone="bad">nothing that was looked at can be used</Badge>}
        </div>
        <p className="wrap mt-3 max-w-[80ch]">{advice.why}</p>
        {advice.snippet !== null && (
          <div className="mt-4">
            <h3 className="mb-1 font-medium">
              {advice.library?.name} <span className="font-mono text-[12.5px] text-soft">{advice.library?.file}</span>
            </h3>
            <CodeBlock text={advice.snippet.trimEnd()} label="the configuration" />
          </div>
        )}
        {advice.notes.length > 0 && (
          <ul className="mt-3 list-disc pl-5 text-[13px] text-soft">
            {advice.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        )}
      </Section>
      {advice.evidence.length > 0 && (
        <Section title="What was seen">
          <ul className="grid gap-1">
            {advice.evidence.map((seen) => (
              <li key={seen.port} className="grid grid-cols-[56px_1fr] gap-3">
                <span className="font-semibold tabular-nums">{seen.port}</span>
                {seen.text}
              </li>
            ))}
          </ul>
        </Section>
      )}
      {advice.listeners.length > 0 && (
        <Section title="The ports of the server">
          <ul className="grid gap-1">
            {advice.listeners.map((one) => (
              <li key={`${one.port} ${one.direction}`} className="grid grid-cols-[56px_1fr] gap-3">
                <span className="font-semibold tabular-nums">{one.port}</span>
                <span>
                  {one.direction === 'in' ? 'in' : 'out'}: {one.use} <span className="text-soft">{one.encryption}</span>
                </span>
              </li>
            ))}
          </ul>
        </Section>
      )}
      {advice.alternatives.length > 0 && (
        <Section title="If that does not work">
          <ul className="grid gap-3">
            {advice.alternatives.map((one) => (
              <li key={`${one.port} ${one.encryption}`} className="border-t border-line pt-3 first:border-0 first:pt-0">
                <h3 className="font-semibold">
                  {one.encryption === 'https' ? 'HTTP API' : one.port} <span className="font-normal text-soft">{ENCRYPTIONS[one.encryption]}</span>
                </h3>
                <p>{one.why}</p>
                {one.snippet !== null && (
                  <details className="mt-1">
                    <summary className="cursor-pointer text-soft hover:text-ink">Configuration</summary>
                    <div className="mt-2">
                      <CodeBlock text={one.snippet.trimEnd()} label={`the configuration for port ${one.port}`} />
                    </div>
                  </details>
                )}
              </li>
            ))}
          </ul>
        </Section>
      )}
    </>
  );
}
