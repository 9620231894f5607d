// Ready configurations for the user's own library, TLS enforced in each; the facts come from the server's knowledge, loaded when they are shown.

import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import type { Server } from '#web/api/schema.ts';
import { libraryName } from '#web/base/text.ts';
import { CodeBlock } from './copy.tsx';
import { Choice } from './form.tsx';
import { Waiting } from './layout.tsx';

const REMEMBERED = 'postern.library';
const PROFILES = [
  ['submission', 'STARTTLS, required'],
  ['submissions', 'TLS from the first byte'],
  ['alternate', 'STARTTLS, required; where 587 is blocked'],
] as const;

type Profile = (typeof PROFILES)[number][0];

function remembered(): string {
  try {
    return localStorage.getItem(REMEMBERED) ?? 'nodemailer';
  } catch {
    return 'nodemailer';
  }
}

function remember(id: string): void {
  try {
    localStorage.setItem(REMEMBERED, id);
  } catch {
    // Chosen again next time.
  }
}

export function Snippets({ username, domain }: { readonly username: string; /** To send as. */ readonly domain: string | null }): ReactNode {
  const server = useApi('/v1/server', {});
  const libraries = useQuery({ queryKey: ['libraries'], queryFn: async () => (await import('#knowledge/libraries.ts')).LIBRARIES, staleTime: Infinity });
  const [id, setId] = useState(remembered);
  const [profile, setProfile] = useState<Profile>('submission');
  if (libraries.data === undefined || server.data === undefined) return <Waiting label="Loading snippets" />;
  const library = libraries.data.find((one) => one.id === id) ?? libraries.data[0];
  if (library === undefined) return null;
  const offered = PROFILES.filter(([name]) => server.data.listeners.some((listener) => listener.profile === name));
  const wanted = offered.some(([name]) => name === profile) ? profile : offered[0]?.[0];
  const listener = server.data.listeners.find((one) => one.profile === wanted);
  if (wanted === undefined || listener === undefined) return <p className="text-soft">This server opens no port for submission.</p>;
  const template = library.snippets[wanted === 'submissions' ? 'implicit' : 'starttls'];
  const values: Readonly<Record<string, string>> = {
    host: hostFor(server.data, listener.address),
    port: String(listener.port),
    username,
    from: `you@${domain ?? 'example.com'}`,
    to: 'friend@example.net',
  };
  return (
    <div className="grid grid-cols-[minmax(0,1fr)] gap-3">
      <div className="flex flex-wrap gap-3">
        <Choice
          label="Library or program"
          value={library.id}
          onChange={(event) => {
            setId(event.target.value);
            remember(event.target.value);
          }}
          options={libraries.data.map((one) => [one.id, libraryName(one)] as const)}
        />
        <Choice
          label="Port"
          value={wanted}
          onChange={(event) => setProfile(event.target.value as Profile)}
          options={offered.map(([name, text]) => [name, `${server.data.listeners.find((one) => one.profile === name)?.port ?? ''}: ${text}`] as const)}
        />
      </div>
      {template === null ? (
        <p className="text-warn">{library.name} cannot do this safely. Choose another port.</p>
      ) : (
        <CodeBlock label={`the snippet for ${library.name}`} text={template.replaceAll(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole).trimEnd()} />
      )}
      <p className="text-[13px] text-soft">
        The password comes from the environment variable <code className="font-mono">SMTP_PASSWORD</code>. {library.default}
      </p>
      {library.traps.length > 0 && (
        <ul className="list-disc pl-5 text-[13px] text-soft">
          {library.traps.map((trap) => (
            <li key={trap}>{trap}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** The name that clients connect to: the server's own, unless it only listens on this machine. */
function hostFor(server: Server, address: string): string {
  return address.startsWith('127.') || address === '::1' ? address : server.hostname;
}
