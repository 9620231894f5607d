// What an ACME server refuses with, turned into cause and fix. A table by problem type; the authority's own words are quoted, cut and cleaned.
// RFC 8555 6.7, RFC 7807, RFC 9773 5.

import { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import type { Failure } from '#base/failure.ts';

export type ChallengeType = 'http-01' | 'tls-alpn-01' | 'dns-01';

const identifier = z.object({ type: z.string(), value: z.string() });
export const problemSchema = z.object({
  type: z.string().default('about:blank'),
  detail: z.string().default(''),
  subproblems: z.array(z.object({ type: z.string().default('about:blank'), detail: z.string().default(''), identifier: identifier.optional() })).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

const PREFIX = 'urn:ietf:params:acme:error:';
const DETAIL_CHARACTERS = 400;
const SUBPROBLEMS = 5;

/** A refusal by the authority. `type` is the last part of its URN; `untilMs`: it said when to come back. */
export class AcmeRefusal extends PosternError {
  readonly type: string;
  readonly untilMs: number | null;
  constructor(failure: Failure, type: string, untilMs: number | null = null) {
    super(failure, { exitCode: 1 });
    this.name = 'AcmeRefusal';
    this.type = type;
    this.untilMs = untilMs;
  }
}

type Row = { readonly cause: string; readonly fix: string };

/** Requests that were refused. {detail} is what the authority said. */
const REQUESTS: Readonly<Record<string, Row>> = {
  accountDoesNotExist: { cause: 'The authority does not know the account', fix: 'A new one is registered at the next try.' },
  alreadyReplaced: { cause: 'The certificate was replaced already', fix: 'The next try orders one without naming it.' },
  badCSR: { cause: 'The authority does not take the certificate request', fix: 'Check tls.acme.names and tls.acme.key_type against what the authority issues.' },
  badNonce: { cause: 'The authority refused every one-time number that it gave out itself', fix: 'It is tried again; see whether a proxy in between caches or reorders answers.' },
  badPublicKey: { cause: 'The authority does not take this kind of key', fix: 'Set tls.acme.key_type to "rsa" or "ecdsa", whichever it issues.' },
  badSignatureAlgorithm: { cause: 'The authority does not take ECDSA P-256 account keys', fix: 'Use an authority that follows RFC 8555 section 6.2.' },
  caa: { cause: 'The CAA records of a name forbid this authority', fix: 'Add the authority to the CAA records (issue "letsencrypt.org" for Let\'s Encrypt), or remove them.' },
  externalAccountRequired: {
    cause: 'The authority serves its customers only',
    fix: 'Get an external account key from it and set tls.acme.eab_kid and tls.acme.eab_key_file.',
  },
  invalidContact: { cause: 'The authority does not take the contact address', fix: 'Correct tls.acme.contact.' },
  malformed: { cause: 'The authority does not understand the request', fix: 'Check that tls.acme.directory is the directory URL of an ACME (RFC 8555) server.' },
  orderNotReady: { cause: 'The order is not ready yet', fix: 'It is tried again by itself.' },
  rateLimited: { cause: 'The authority takes no more requests for now', fix: 'Nothing is tried before the time it named. While you test, use its staging directory.' },
  rejectedIdentifier: { cause: 'The authority does not issue for one of the names', fix: 'Take the name it tells off tls.acme.names, or use another authority.' },
  serverInternal: { cause: 'The authority has trouble of its own', fix: 'It is tried again by itself; see the status page of the authority.' },
  unauthorized: {
    cause: 'The account may not do this',
    fix: 'Check tls.acme.eab_kid and eab_key_file, and with the authority whether the account was deactivated; removing DATA/acme/account-*.json makes a new one.',
  },
  unsupportedContact: { cause: 'The authority does not take this kind of contact', fix: 'Correct tls.acme.contact: mail addresses only.' },
  unsupportedIdentifier: { cause: 'The authority does not issue for this kind of name', fix: 'Use host names in tls.acme.names.' },
  userActionRequired: { cause: 'The authority wants you to agree to its new terms', fix: 'Read the terms it names, then run: postern tls renew' },
};

const OTHER: Row = { cause: 'The authority refused the request', fix: 'Read what it says; see its documentation or status page.' };

/** Challenges that failed, by challenge and problem; {name} and {port} are filled in. */
const REACH = 'Let port {port} of every address of {name} (A and AAAA) reach this server from the internet, or use challenge = "dns-01".';
const CHALLENGES: Readonly<Record<ChallengeType, Readonly<Record<string, Row>>>> = {
  'http-01': {
    connection: { cause: 'The authority could not connect to {name} on port 80', fix: REACH },
    unauthorized: {
      cause: 'The web server that answers for {name} on port 80 does not give the answer of this one',
      fix: 'Let it pass http://{name}/.well-known/acme-challenge/ on to tls.acme.port of this server; check that the A and AAAA records name this machine.',
    },
    incorrectResponse: {
      cause: 'What answers for {name} on port 80 is not this server',
      fix: 'Let it pass http://{name}/.well-known/acme-challenge/ on to tls.acme.port of this server; check that the A and AAAA records name this machine.',
    },
  },
  'tls-alpn-01': {
    connection: { cause: 'The authority could not connect to {name} on port 443', fix: REACH },
    tls: {
      cause: 'The authority could not make the TLS handshake with {name} on port 443',
      fix: 'Nothing in between may end TLS: port 443 must come through to tls.acme.port as it is. Else use "http-01" or "dns-01".',
    },
    unauthorized: {
      cause: 'Another TLS server answers for {name} on port 443',
      fix: 'Port 443 of {name} must come through to tls.acme.port of this server; check that the A and AAAA records name this machine. Else use "http-01" or "dns-01".',
    },
    incorrectResponse: {
      cause: 'Another TLS server answers for {name} on port 443',
      fix: 'Port 443 of {name} must come through to tls.acme.port of this server; check that the A and AAAA records name this machine. Else use "http-01" or "dns-01".',
    },
  },
  'dns-01': {
    unauthorized: {
      cause: 'The authority did not find the right TXT record at _acme-challenge.{name}',
      fix: 'See that the hook writes the value it is given as a further TXT record, and that every name server of the zone serves it soon; or raise tls.acme.dns_wait.',
    },
    dns: {
      cause: 'The authority could not look up _acme-challenge.{name}',
      fix: 'Check that the name servers of the zone answer (also over TCP), that DNSSEC is right, and that the hook made the record; or raise tls.acme.dns_wait.',
    },
  },
};

const ANY_CHALLENGE: Readonly<Record<string, Row>> = {
  caa: { cause: 'The CAA records of {name} forbid this authority', fix: 'Add the authority to the CAA records (issue "letsencrypt.org" for Let\'s Encrypt), or remove them.' },
  dns: {
    cause: 'The authority could not look up {name}',
    fix: 'Give {name} an A (or AAAA) record that names this server; check that its name servers answer and that DNSSEC is right.',
  },
  rateLimited: REQUESTS['rateLimited'] ?? OTHER,
};
const OTHER_CHALLENGE: Row = { cause: 'The authority could not verify control of {name}', fix: 'Read what it says, mend it, then run: postern tls renew' };

const PORTS: Readonly<Record<ChallengeType, string>> = { 'http-01': '80', 'tls-alpn-01': '443', 'dns-01': '53' };

/** The refusal of a request. `status` counts where the body says nothing of use. */
export function refusalOf(problem: Problem, context: { readonly status: number; readonly untilMs: number | null }): AcmeRefusal {
  const type = shortType(problem.type, context.status);
  const row = REQUESTS[type] ?? OTHER;
  const until = context.untilMs === null ? '' : ` It may be asked again from ${new Date(context.untilMs).toISOString()} on.`;
  return new AcmeRefusal({ code: codeOf(type), cause: `${row.cause}${said(problem)}.${until}`, fix: row.fix }, type, context.untilMs);
}

/** Why a name could not be verified. */
export function challengeRefusal(problem: Problem, challenge: { readonly type: ChallengeType; readonly name: string }): AcmeRefusal {
  const type = shortType(problem.type, 0);
  const row = CHALLENGES[challenge.type][type] ?? ANY_CHALLENGE[type] ?? OTHER_CHALLENGE;
  const fill = (text: string): string => text.replaceAll('{name}', challenge.name).replaceAll('{port}', PORTS[challenge.type]);
  return new AcmeRefusal({ code: `acme-challenge-${kebab(type)}`, cause: `${fill(row.cause)}${said(problem)}.`, fix: fill(row.fix) }, type);
}

function shortType(type: string, status: number): string {
  if (type.startsWith(PREFIX)) return type.slice(PREFIX.length);
  return status === 429 ? 'rateLimited' : status >= 500 ? 'serverInternal' : 'unknown';
}

function codeOf(type: string): string {
  return `acme-${kebab(type)}`;
}

/** Types come from the other side: only what is a word becomes part of a code. */
function kebab(type: string): string {
  return /^[A-Za-z]{1,40}$/.test(type) ? type.replace(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase() : 'unknown';
}

/** What the authority said, in brackets; nothing when it said nothing. */
function said({ detail, subproblems = [] }: Problem): string {
  const more = subproblems.slice(0, SUBPROBLEMS).map((one) => `${one.identifier === undefined ? '' : `${one.identifier.value}: `}${one.detail}`);
  const text = [detail, ...more]
    .filter((part) => part !== '')
    .join('; ')
    .replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ')
    .replace(/\.$/, '');
  return text === '' ? '' : ` (${text.length <= DETAIL_CHARACTERS ? text : `${text.slice(0, DETAIL_CHARACTERS - 1)}…`})`;
}
