// The page that teaches: the four ports with what this server has on each, how they came to be, and the ways of encryption.

import type { ReactNode } from 'react';
import { PORTS, PORT_HISTORY } from '#knowledge/ports.ts';
import type { Server } from '#web/api/schema.ts';
import { useApi } from '#web/api/client.ts';
import { SUBMISSION_BY_PORT } from '#web/charts/baseline.ts';
import { PortLegend, ShareColumns } from '#web/charts/share.tsx';
import { Badge } from '#web/parts/badge.tsx';
import type { Tone } from '#web/parts/badge.tsx';
import { Icon } from '#web/parts/icon.tsx';
import { PageHead, Section } from '#web/parts/layout.tsx';
import { Link } from '#web/base/router.tsx';

const ADVICE: Readonly<Record<(typeof PORTS)[number]['submission'], readonly [Tone, string]>> = {
  recommended: ['good', 'use it'],
  fallback: ['warn', 'only if blocked'],
  never: ['bad', 'servers only'],
};
const PROFILES: Readonly<Record<number, string>> = { 25: 'mx', 465: 'submissions', 587: 'submission', 2525: 'alternate' };

export default function Ports(): ReactNode {
  const server = useApi('/v1/server', {});
  return (
    <>
      <PageHead title="The four ports" about="Every mail that an application sends leaves through a TCP port. Four of them matter, and they are not interchangeable." />
      <Section title="In short">
        <ol className="grid gap-x-8 gap-y-2 sm:grid-cols-2">
          <Short port="587">with STARTTLS, and a client that insists on it: the default.</Short>
          <Short port="465">where the client does TLS from the first byte cleanly: as good, and simpler.</Short>
          <Short port="2525">only where a network blocks 587.</Short>
          <Short port="25">never for submission: it is how servers talk to each other.</Short>
        </ol>
      </Section>
      <Section title="Port by port" flush>
        <table className="rows stack">
          <thead>
            <tr>
              <th scope="col">Port</th>
              <th scope="col">Use</th>
              <th scope="col">Encryption</th>
              <th scope="col">Networks</th>
              <th scope="col">Standing</th>
              <th scope="col">Here</th>
            </tr>
          </thead>
          <tbody>
            {PORTS.map((port) => (
              <tr key={port.port}>
                <td data-label="Port">
                  <span>
                    <span className="text-[17px] font-semibold">{port.port}</span>
                    <span className="block text-[12px] text-soft">{port.name}</span>
                    <Badge tone={ADVICE[port.submission][0]}>{ADVICE[port.submission][1]}</Badge>
                  </span>
                </td>
                <td data-label="Use">{port.use}</td>
                <td data-label="Encryption">{port.encryption}</td>
                <td data-label="Networks">{port.blocking}</td>
                <td data-label="Standing">{port.status}</td>
                <td data-label="Here">
                  <Here profile={PROFILES[port.port] ?? ''} port={port.port} server={server.data} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Section>
      <Section title="Ways to encrypt" about="What goes wrong is hardly ever the cipher. It is the client that goes on without one.">
        <ul className="grid gap-3 md:grid-cols-2">
          <Model tone="good" title="Implicit TLS" where="465" here="Offered on 465.">
            The handshake comes before any SMTP. There is no clear text that could be read or changed, and nothing to talk a client out of.
          </Model>
          <Model tone="good" title="STARTTLS, required" where="587, 2525" here="The only way on 587 and 2525: without it MAIL is answered 530 and AUTH 538.">
            The connection begins in the clear, and the client goes no further unless the upgrade is offered and works.
          </Model>
          <Model
            tone="bad"
            title="STARTTLS, if offered"
            where="clients left at their default"
            here="Never, for submission. Towards the mail servers of recipients it is the floor, which MTA-STS, DANE and REQUIRETLS raise."
          >
            Whoever sits between takes the offer out, and the client sends the password in the clear: a silent downgrade.
          </Model>
          <Model tone="bad" title="None" where="old scripts" here="Refused on every submission port.">
            Everyone on the way reads the password and the mail.
          </Model>
        </ul>
      </Section>
      <Section title="How it came to this">
        <ol className="ml-1.5 border-l-2 border-line">
          {PORT_HISTORY.map((event) => (
            <li key={`${event.year} ${event.event}`} className="relative grid gap-x-4 py-2 pl-5 sm:grid-cols-[56px_1fr]">
              <span className="absolute top-[15px] -left-[6px] size-2.5 rounded-full border-2 border-accent bg-panel" aria-hidden="true" />
              <span className="font-semibold">{event.year}</span>
              <span>
                {event.event} <span className="text-soft">{event.source}</span>
              </span>
            </li>
          ))}
        </ol>
      </Section>
      <Section title="What the world uses" about="Authenticated submission by port, in percent: an industry estimate. Your own is on the page of the traffic.">
        <div className="max-w-[640px]">
          <PortLegend />
          <div className="mt-2">
            <ShareColumns title="Submission by port, 2015 to 2025" rows={SUBMISSION_BY_PORT} />
          </div>
        </div>
      </Section>
      <p className="text-soft">
        Not sure which one a network lets through?{' '}
        <Link to="/doctor" className="text-accent underline">
          The doctor
        </Link>{' '}
        tries them all, and{' '}
        <Link to="/advisor" className="text-accent underline">
          the advisor
        </Link>{' '}
        says what to use with your library.
      </p>
    </>
  );
}

function Short({ port, children }: { readonly port: string; readonly children: ReactNode }): ReactNode {
  return (
    <li className="flex gap-3">
      <span className="w-12 shrink-0 text-right font-semibold tabular-nums">{port}</span>
      <span>{children}</span>
    </li>
  );
}

function Model({
  tone,
  title,
  where,
  here,
  children,
}: {
  readonly tone: 'good' | 'bad';
  readonly title: string;
  readonly where: string;
  readonly here: string;
  readonly children: ReactNode;
}): ReactNode {
  return (
    <li className="rounded-lg border border-line p-3.5">
      <h3 className={`flex items-center gap-2 font-semibold ${tone === 'good' ? 'text-good' : 'text-bad'}`}>
        <Icon name={tone === 'good' ? 'lock' : 'unlock'} />
        {title}
        <span className="text-[12px] font-normal text-soft">{where}</span>
      </h3>
      <p className="mt-1">{children}</p>
      <p className="mt-2 text-[13px] text-soft">
        <span className="font-medium text-ink">Here:</span> {here}
      </p>
    </li>
  );
}

/** What this server has for the profile: it may listen elsewhere than on the port of the standard, or not at all. */
function Here({ profile, port, server }: { readonly profile: string; readonly port: number; readonly server: Server | undefined }): ReactNode {
  if (server === undefined) return <span className="text-soft">–</span>;
  const listeners = server.listeners.filter((listener) => listener.profile === profile);
  if (listeners.length === 0) return <span className="text-soft">not open</span>;
  return (
    <ul>
      {listeners.map((listener) => (
        <li key={`${listener.address} ${listener.port}`}>
          <Badge tone={listener.port === port ? 'good' : 'warn'}>{listener.port === port ? 'open' : `open on ${listener.port}`}</Badge>
          {listener.port !== port && <span className="block text-[12px] text-soft">This process may not bind {port}, or was told otherwise.</span>}
        </li>
      ))}
    </ul>
  );
}
