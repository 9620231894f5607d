// The advisor: from who sends, with what, to whom, and what is known of the network, to one port, its encryption, and a configuration that requires
// it. Pure: nothing is looked up, no connection made. RFC 6409, RFC 8314.

import { LIBRARIES, fillSnippet } from '#knowledge/libraries.ts';
import type { Library, SnippetValues } from '#knowledge/libraries.ts';
import { ordered, others } from './candidates.ts';
import { USABLE, isDead, standingOf } from './evidence.ts';
import type { Standing } from './evidence.ts';
import { httpApiOf } from './http-api.ts';
import { ownServer } from './own-server.ts';
import type { ServerPort } from './own-server.ts';
import { hostOf } from './question.ts';
import type { Question, Scenario, ServedPort } from './question.ts';
import { describe, nothingWorks, reasons, standingText } from './words.ts';

export type Encryption = 'starttls-required' | 'implicit-tls' | 'https';

export type Choice = {
  readonly port: number;
  readonly encryption: Encryption;
  readonly why: string;
  /** null where there is none to give: an HTTP API, or a library that cannot do this. */
  readonly snippet: string | null;
};

const HTTPS_PORT = 443;

/** The first five are the contract's. */
export type Advice = {
  readonly port: number;
  readonly encryption: Encryption;
  readonly why: string;
  readonly alternatives: readonly Choice[];
  readonly snippet: string | null;
  readonly scenario: Scenario;
  readonly host: string;
  /** What the snippet is for, and the file that it belongs in. */
  readonly library: { readonly id: string; readonly name: string; readonly file: string } | null;
  readonly provider: { readonly id: string; readonly name: string } | null;
  /** Of an own server: what it listens on, and what for. */
  readonly listeners: readonly ServerPort[];
  /** Traps of the library, and what else to mind. */
  readonly notes: readonly string[];
  /** What was seen of each port. */
  readonly evidence: readonly { readonly port: number; readonly standing: Standing; readonly text: string }[];
  /** False when something was looked at, and nothing of it can be used. */
  readonly usable: boolean;
};

/** Throws PosternError (exit code 2) for a host or a name that cannot stand in a configuration. */
export function advise(question: Question): Advice {
  const asked = question.library ?? defaultLibrary();
  const candidates = ordered(question, asked);
  const chosen = choose(question, candidates, asked);
  const { library, best } = chosen;
  const first = best ?? candidates[0] ?? { port: 587, tls: 'starttls' as const };
  const own = question.scenario === 'own-server' ? ownServer(question) : null;
  const common = {
    scenario: question.scenario,
    host: hostOf(question).host,
    provider: question.provider === null ? null : { id: question.provider.id, name: question.provider.name },
    listeners: own?.listeners ?? [],
    notes: notesOf(question, library),
    evidence: evidenceOf(question, candidates),
    usable: best !== null && !(question.survey?.depth === 'session' && question.survey.problem !== null),
  };
  const rest = others(candidates, first).filter((one) => best === null || isOpen(question, one));
  const lastResort = question.scenario === 'locked-cloud' || question.scenario === 'esp' ? [httpApi(question)] : [];
  const alternatives = rest.map((one) => choiceOf(question, one, library));
  // An own server's configuration is the answer, unless it was asked what goes into a client of it.
  const server = own !== null && question.library === null ? own : null;
  const shown = server === null ? library : { id: 'postern', name: 'Postern', file: 'postern.toml' };
  const answer = { library: { id: shown.id, name: shown.name, file: shown.file }, ...common };
  if (best === null && isEverythingBlocked(question, candidates)) {
    const { port, encryption, snippet } = httpApi(question);
    const shell = snippet === null ? null : { id: 'postern-http', name: "Postern's HTTP API", file: 'send.sh' };
    return { port, encryption, why: nothingWorks(question, candidates), alternatives, snippet, ...answer, library: shell };
  }
  const why = best === null ? nothingWorks(question, candidates) : reasons(question, { best, candidates, asked, library });
  return {
    port: first.port,
    encryption: encryptionOf(first),
    why,
    alternatives: [...alternatives, ...lastResort],
    snippet: server === null ? snippetOf(question, first, library) : server.snippet,
    ...answer,
  };
}

/** The best port that can be used, and the library: the one that was asked for, if it can do what works here. */
function choose(question: Question, candidates: readonly ServedPort[], asked: Library): { readonly best: ServedPort | null; readonly library: Library } {
  const best = bestOf(
    question,
    candidates.filter((one) => asked.snippets[one.tls] !== null),
  );
  if (best !== null) return { best, library: asked };
  const other = bestOf(question, candidates);
  return other === null ? { best: null, library: asked } : { best: other, library: siblingOf(asked, other) };
}

function bestOf(question: Question, candidates: readonly ServedPort[]): ServedPort | null {
  for (const standing of USABLE) {
    const found = candidates.find((one) => standingIn(question, one) === standing);
    if (found !== undefined) return found;
  }
  return null;
}

/** In a locked-down cloud 587 counts as blocked until somebody has seen it open. */
function standingIn(question: Question, { port, tls }: ServedPort): Standing {
  const standing = standingOf(question, port, tls);
  return question.scenario === 'locked-cloud' && port === 587 && standing === 'unknown' ? 'blocked' : standing;
}

function isOpen(question: Question, one: ServedPort): boolean {
  return USABLE.includes(standingIn(question, one));
}

function isEverythingBlocked(question: Question, candidates: readonly ServedPort[]): boolean {
  if (isDead(question)) return false;
  return candidates.every((one) => ['blocked', 'silent', 'closed', 'unknown'].includes(standingIn(question, one)));
}

/** Of the same language one that can do it, else curl. */
function siblingOf(library: Library, { tls }: ServedPort): Library {
  const able = LIBRARIES.filter(({ snippets }) => snippets[tls] !== null);
  const language = library.language === 'PowerShell' ? 'C#' : library.language;
  return able.find((one) => one.language === language) ?? defaultLibrary();
}

/** What everybody has at hand. */
function defaultLibrary(): Library {
  return LIBRARIES.find(({ id }) => id === 'curl') ?? (LIBRARIES[0] as Library);
}

function encryptionOf({ tls }: ServedPort): Encryption {
  return tls === 'implicit' ? 'implicit-tls' : 'starttls-required';
}

function choiceOf(question: Question, one: ServedPort, library: Library): Choice {
  const standing = standingIn(question, one);
  const does = one.tls === 'starttls' ? '' : library.snippets.implicit === null ? `${library.name} cannot do it.` : `${library.name} does it cleanly.`;
  const onlyWhen = question.scenario !== 'locked-cloud' && one.tls === 'starttls' && one.port !== 587 && standing === 'unknown' ? 'Only where 587 is blocked.' : '';
  const why = [describe(question, one), does, onlyWhen, standingText(question, one, standing)].filter((text) => text !== '').join(' ');
  return { port: one.port, encryption: encryptionOf(one), why, snippet: snippetOf(question, one, library) };
}

function snippetOf(question: Question, { port, tls }: ServedPort, library: Library): string | null {
  return fillSnippet(library, tls, valuesOf(question, port));
}

function valuesOf(question: Question, port: number): SnippetValues {
  const { username, provider, from, to } = question;
  const ownAddress = provider !== null && /whole mail address/i.test(provider.username);
  return { host: hostOf(question).host, port, username: username ?? provider?.login ?? (ownAddress ? from : 'your-username'), from, to };
}

function httpApi(question: Question): Choice {
  return { port: HTTPS_PORT, encryption: 'https', ...httpApiOf(question.provider, valuesOf(question, HTTPS_PORT)) };
}

function notesOf(question: Question, library: Library): string[] {
  const { provider } = question;
  const { host, placeholder } = hostOf(question);
  const notes = [...(question.remarks ?? [])];
  if (!(question.scenario === 'own-server' && question.library === null)) notes.push(...library.traps.map((trap) => `${library.name}: ${trap}`));
  if (provider !== null) {
    notes.push(`${provider.name}, username: ${provider.username} Password: ${provider.password}`, ...provider.notes.map((note) => `${provider.name}: ${note}`));
    for (const other of provider.hosts) notes.push(`${provider.name}: ${other.host} for ${other.for}.`);
  }
  if (placeholder) notes.push(`${host} is a placeholder: put the real name there, or ask again with --host${question.scenario === 'esp' ? ' or --provider' : ''}.`);
  return notes;
}

function evidenceOf(question: Question, candidates: readonly ServedPort[]): Advice['evidence'] {
  const { survey, blocked } = question;
  const said = blocked.map((port) => ({ port, standing: 'blocked' as const, text: 'said to be blocked' }));
  if (survey === null) return said;
  const seen = survey.looks
    .filter(({ port }) => !blocked.includes(port))
    .map(({ port, text }) => {
      const candidate = candidates.find((one) => one.port === port);
      return { port, standing: candidate === undefined ? standingOf(question, port, 'starttls') : standingIn(question, candidate), text };
    });
  return [...said, ...seen].toSorted((a, b) => a.port - b.port);
}
