// What the advisor is asked: who sends, with what, to whom; parsed once from what people write. Knows no network and no terminal.

import { isImplicitTlsPort } from '#base/ports.ts';
import { PosternError } from '#base/failure.ts';
import { LIBRARIES } from '#knowledge/libraries.ts';
import type { Library } from '#knowledge/libraries.ts';
import { PROVIDERS } from '#knowledge/providers.ts';
import type { Provider } from '#knowledge/providers.ts';
import type { Evidence } from './evidence.ts';

export type Scenario = 'app' | 'esp' | 'own-server' | 'locked-cloud';
export type Tls = 'starttls' | 'implicit';
export type ServedPort = { readonly port: number; readonly tls: Tls };

export const SCENARIOS: Readonly<Record<Scenario, string>> = {
  app: 'an application sends mail (sign-ups, receipts, alerts)',
  esp: 'mail goes through a mail service (newsletters, or all of it)',
  'own-server': 'I run a mail server of my own',
  'locked-cloud': 'an application in a cloud or network that blocks mail ports',
};

export type Question = Evidence & {
  readonly scenario: Scenario;
  readonly library: Library | null;
  readonly provider: Provider | null;
  /** The server that mail is handed to (own-server: this one); null: the provider's, else a placeholder. */
  readonly host: string | null;
  /** Submission ports that the server is known to serve, in its order; null: those of the provider, else the usual ones. */
  readonly served: readonly ServedPort[] | null;
  readonly username: string | null;
  readonly from: string;
  readonly to: string;
  /** What whoever asks knows besides; told among the notes. */
  readonly remarks?: readonly string[];
};

/** Of a server that shows a certificate of its own making. */
export const SELF_SIGNED =
  'This server shows a self-signed certificate, which the snippet refuses, as it must: give it one that clients can verify (tls.mode = "acme" or "files"), or have the client trust DATA/tls/cert.pem.';

export const PLACEHOLDERS: Readonly<Record<Scenario, string>> = {
  app: 'smtp.example.com',
  esp: 'smtp.provider.example',
  'own-server': 'mail.example.com',
  'locked-cloud': 'smtp.example.com',
};

/** Ports made for TLS from the first byte end in 465 (8465, 2465, 10465): so providers and Postern do it. */
export function tlsOfPort(port: number): Tls {
  return isImplicitTlsPort(port) ? 'implicit' : 'starttls';
}

/** The host that a question is about, and whether it is only a placeholder. */
export function hostOf({ host, provider, scenario }: Pick<Question, 'host' | 'provider' | 'scenario'>): { readonly host: string; readonly placeholder: boolean } {
  const named = host ?? provider?.host ?? null;
  return named === null
    ? { host: PLACEHOLDERS[scenario], placeholder: true }
    : { host: named.replaceAll(/\{(\w+)\}/g, (_, word: string) => word.toUpperCase()), placeholder: named.includes('{') };
}

/** A library by its id, its name, or what people call it. Throws PosternError (exit code 2) with the nearest ones. */
export function findLibrary(text: string): Library {
  return find(LIBRARIES, text) ?? unknown('library', text, LIBRARIES);
}

export function findProvider(text: string): Provider {
  return find(PROVIDERS, text) ?? unknown('provider', text, PROVIDERS);
}

type Named = { readonly id: string; readonly name: string; readonly aliases?: readonly string[] | undefined };

function find<T extends Named>(rows: readonly T[], text: string): T | undefined {
  const exact = text.trim().toLowerCase();
  const wanted = plain(text);
  if (wanted === '') return undefined;
  return (
    rows.find(({ id, name, aliases }) => id === exact || name.toLowerCase() === exact || aliases?.includes(exact) === true) ??
    rows.find(({ id, name, aliases = [] }) => [id, name, ...aliases].some((known) => plain(known) === wanted))
  );
}

/** `Go Mail`, `go-mail` and `go_mail` are one; `c#` and `c` are not. */
function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9#+]/g, '');
}

function unknown(what: 'library' | 'provider', text: string, rows: readonly Named[]): never {
  const wanted = plain(text);
  const isNear = (known: string): boolean => plain(known).includes(wanted) || (plain(known).length > 2 && wanted.includes(plain(known)));
  const near = wanted.length < 2 ? [] : rows.filter(({ id, name, aliases = [] }) => [id, name, ...aliases].some(isNear));
  const ids = (near.length > 0 ? near : rows).map(({ id }) => id).join(', ');
  const otherwise = {
    library: 'For another one leave --library out: the answer stands, with curl as the example.',
    provider: 'For another one name the host that its documentation gives, with --host.',
  }[what];
  throw new PosternError(
    {
      code: `unknown-${what}`,
      cause: `The advisor knows no ${what} ${JSON.stringify(text)}.`,
      fix: `${near.length > 0 ? 'Perhaps one of these' : 'It knows these'}: ${ids}. ${otherwise}`,
    },
    { exitCode: 2 },
  );
}
