// The running server as commands see it: typed calls over the management socket. Turns a server that is not there, or that refuses, into
// a failure with cause, fix and exit code. Knows nothing of how answers are shown.

import { request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { PosternError, errorCode } from '#base/failure.ts';
import type { Failure } from '#base/failure.ts';
import type { AuditEntryView } from '#http/routes/audit.ts';
import type { CertificatesView } from '#http/routes/certificates.ts';
import type { CredentialSecret, CredentialView, NewCredentialInput } from '#http/routes/credentials.ts';
import type { RotationStep } from '#http/views/domain.ts';
import type { DomainCheckView, DomainDetailView, DomainView } from '#http/views/domain.ts';
import type { MessageRowView, MessageView, TranscriptView } from '#http/routes/messages.ts';
import type { LaneView, QueueRowView, QueuedMessageView, Verb } from '#http/routes/queue.ts';
import type { ReloadReport } from '#http/routes/reload.ts';
import type { PersonMade } from '#http/routes/people.ts';
import type { SuppressionInput, SuppressionView } from '#http/routes/suppressions.ts';
import type { SelfView } from '#http/routes/self.ts';
import type { TlsPolicyView, TlsReportDayView, TlsReportRowView } from '#http/routes/tls.ts';
import type { DeliveryView, NewWebhookInput, ReplayInput, TestView, WebhookMade, WebhookView } from '#http/views/webhook.ts';
import type { NewTokenInput, TokenMade, TokenView } from '#http/routes/tokens.ts';
import type { Scope } from '#http/scopes.ts';
import type { PersonView } from '#http/views/person.ts';
import type { Changed, Selection } from '#queue/queue.ts';
import { socketPath } from '#server/socket-path.ts';
import type { TlsReport } from '#tls/tlsrpt.ts';

const TIMEOUT_MS = 60_000;
const ANSWER_BYTES = 64 * 1024 * 1024;

export type QueueQuery = Readonly<Partial<Record<'id' | 'lane' | 'domain' | 'credential' | 'state' | 'after' | 'limit', string>>>;
export type MessageQuery = Readonly<Partial<Record<'text' | 'to' | 'from' | 'status' | 'since' | 'credential' | 'before' | 'limit', string>>>;
export type AuditQuery = Readonly<Partial<Record<'action' | 'name' | 'since' | 'before' | 'limit', string>>>;

export type SuppressionQuery = Readonly<Partial<Record<'to' | 'sender' | 'reason' | 'before' | 'limit', string>>>;

/** Every call rejects with PosternError: exit code 1 for what is not there, 2 for bad input, 3 when the server cannot be reached or broke. */
export type Api = {
  credentials(): Promise<{ readonly credentials: readonly CredentialView[] }>;
  addCredential(input: NewCredentialInput): Promise<CredentialSecret>;
  rotateCredential(name: string): Promise<CredentialSecret>;
  revokeCredential(name: string): Promise<{ readonly name: string; readonly revoked: boolean }>;
  audit(query: AuditQuery): Promise<{ readonly entries: readonly AuditEntryView[]; readonly next: number | null }>;
  webhooks(): Promise<{ readonly webhooks: readonly WebhookView[] }>;
  webhook(id: string): Promise<WebhookView>;
  addWebhook(input: NewWebhookInput): Promise<WebhookMade>;
  rotateWebhook(id: string, overlapHours: number): Promise<WebhookMade>;
  testWebhook(id: string): Promise<TestView>;
  enableWebhook(id: string, skip: boolean): Promise<WebhookView>;
  disableWebhook(id: string): Promise<WebhookView>;
  replayWebhook(id: string, wanted: ReplayInput): Promise<{ readonly id: string; readonly events: number | null }>;
  webhookDeliveries(id: string, limit: string): Promise<{ readonly deliveries: readonly DeliveryView[] }>;
  removeWebhook(id: string): Promise<{ readonly id: string; readonly removed: boolean }>;
  tokens(): Promise<{ readonly tokens: readonly TokenView[] }>;
  addToken(input: NewTokenInput): Promise<TokenMade>;
  revokeToken(name: string): Promise<{ readonly name: string; readonly revoked: boolean }>;
  people(): Promise<{ readonly people: readonly PersonView[] }>;
  addPerson(input: { readonly name: string; readonly scopes: readonly Scope[] }): Promise<PersonMade>;
  linkPerson(name: string): Promise<Pick<PersonMade, 'link' | 'until'>>;
  removePerson(name: string): Promise<{ readonly name: string; readonly removed: boolean }>;
  domains(): Promise<{ readonly domains: readonly DomainView[] }>;
  domain(name: string): Promise<DomainDetailView>;
  addDomain(input: { name: string; inbound: boolean; returnPath?: string | undefined; project?: string | null | undefined }): Promise<DomainDetailView>;
  checkDomain(name: string): Promise<DomainCheckView>;
  rotateDomain(name: string, step: RotationStep): Promise<DomainDetailView>;
  removeDomain(name: string): Promise<{ readonly name: string; readonly removed: boolean }>;
  queue(query: QueueQuery): Promise<{ readonly recipients: readonly QueueRowView[]; readonly next: string | null }>;
  queued(id: string): Promise<QueuedMessageView>;
  lanes(): Promise<{ readonly lanes: readonly LaneView[] }>;
  change(verb: Verb, selection: Selection): Promise<Changed>;
  messages(query: MessageQuery): Promise<{ readonly messages: readonly MessageRowView[]; readonly next: string | null }>;
  message(id: string): Promise<MessageView>;
  transcripts(id: string): Promise<{ readonly transcripts: readonly TranscriptView[] }>;
  /** The raw content, as it comes. */
  body(id: string): Promise<AsyncIterable<Buffer>>;
  suppressions(query: SuppressionQuery): Promise<{ readonly suppressions: readonly SuppressionView[]; readonly next: string | null }>;
  suppression(address: string): Promise<{ readonly address: string; readonly suppressions: readonly SuppressionView[] }>;
  addSuppression(input: SuppressionInput): Promise<SuppressionView>;
  importSuppressions(entries: readonly SuppressionInput[]): Promise<{ readonly entries: number; readonly added: number }>;
  removeSuppression(address: string, sender: string | undefined): Promise<{ readonly address: string; readonly removed: number }>;
  tlsPolicy(domain: string, demand: string): Promise<TlsPolicyView>;
  /** Without a day: today. */
  tlsReports(day: string | undefined): Promise<TlsReportDayView>;
  tlsReport(domain: string, day: string | undefined): Promise<TlsReport>;
  sendTlsReports(wanted: { readonly day?: string; readonly domain?: string }): Promise<{ readonly day: string; readonly reports: readonly TlsReportRowView[] }>;
  /** As it last looked at itself. */
  self(): Promise<SelfView>;
  /** A look now. */
  checkSelf(): Promise<SelfView>;
  reload(): Promise<ReloadReport>;
  certificates(): Promise<CertificatesView>;
  renewCertificates(name: string | null): Promise<{ readonly ordered: readonly (readonly string[])[] }>;
};

/** Calls over `DATA/postern.sock`. Nothing is opened before the first call. */
export function openApi(options: { readonly dataDir: string }): Api {
  const { dataDir } = options;
  const get = <T>(path: string): Promise<T> => call(dataDir, 'GET', path) as Promise<T>;
  const post = <T>(path: string, body: unknown = {}): Promise<T> => call(dataDir, 'POST', path, body) as Promise<T>;
  const remove = <T>(path: string): Promise<T> => call(dataDir, 'DELETE', path) as Promise<T>;
  const part = encodeURIComponent;
  return {
    credentials: () => get('/v1/credentials'),
    addCredential: (input) => post('/v1/credentials', input),
    rotateCredential: (name) => post(`/v1/credentials/${part(name)}/rotate`),
    revokeCredential: (name) => remove(`/v1/credentials/${part(name)}`),
    audit: (query) => get(`/v1/audit?${new URLSearchParams(query)}`),
    webhooks: () => get('/v1/webhooks'),
    webhook: (id) => get(`/v1/webhooks/${part(id)}`),
    addWebhook: (input) => post('/v1/webhooks', input),
    rotateWebhook: (id, overlapHours) => post(`/v1/webhooks/${part(id)}/rotate`, { overlapHours }),
    testWebhook: (id) => post(`/v1/webhooks/${part(id)}/test`),
    enableWebhook: (id, skip) => post(`/v1/webhooks/${part(id)}/enable`, { skip }),
    disableWebhook: (id) => post(`/v1/webhooks/${part(id)}/disable`),
    replayWebhook: (id, wanted) => post(`/v1/webhooks/${part(id)}/replay`, wanted),
    webhookDeliveries: (id, limit) => get(`/v1/webhooks/${part(id)}/deliveries?${new URLSearchParams({ limit })}`),
    removeWebhook: (id) => remove(`/v1/webhooks/${part(id)}`),
    tokens: () => get('/v1/tokens'),
    addToken: (input) => post('/v1/tokens', input),
    revokeToken: (name) => remove(`/v1/tokens/${part(name)}`),
    people: () => get('/v1/people'),
    addPerson: (input) => post('/v1/people', input),
    linkPerson: (name) => post(`/v1/people/${part(name)}/link`),
    removePerson: (name) => remove(`/v1/people/${part(name)}`),
    domains: () => get('/v1/domains'),
    domain: (name) => get(`/v1/domains/${part(name)}`),
    addDomain: (input) => post('/v1/domains', input),
    checkDomain: (name) => post(`/v1/domains/${part(name)}/check`),
    rotateDomain: (name, step) => post(`/v1/domains/${part(name)}/rotate`, { step }),
    removeDomain: (name) => remove(`/v1/domains/${part(name)}`),
    queue: (query) => get(`/v1/queue?${new URLSearchParams(query)}`),
    queued: (id) => get(`/v1/queue/${part(id)}`),
    lanes: () => get('/v1/lanes'),
    change: (verb, selection) => post(`/v1/queue/${verb}`, selection),
    messages: (query) => get(`/v1/messages?${new URLSearchParams(query)}`),
    message: (id) => get(`/v1/messages/${part(id)}`),
    transcripts: (id) => get(`/v1/messages/${part(id)}/transcripts`),
    body: async (id) => whole(await open(dataDir, 'GET', `/v1/messages/${part(id)}/body`)),
    suppressions: (query) => get(`/v1/suppressions?${new URLSearchParams(query)}`),
    suppression: (address) => get(`/v1/suppressions/${part(address)}`),
    addSuppression: (input) => post('/v1/suppressions', input),
    importSuppressions: (entries) => post('/v1/suppressions/import', { entries }),
    removeSuppression: (address, sender) => remove(`/v1/suppressions/${part(address)}?${new URLSearchParams(sender === undefined ? {} : { sender })}`),
    tlsPolicy: (domain, demand) => get(`/v1/tls/policy/${part(domain)}?${new URLSearchParams({ demand })}`),
    tlsReports: (day) => get(`/v1/tls/reports?${new URLSearchParams(day === undefined ? {} : { day })}`),
    tlsReport: (domain, day) => get(`/v1/tls/reports/${part(domain)}?${new URLSearchParams(day === undefined ? {} : { day })}`),
    sendTlsReports: (wanted) => post('/v1/tls/reports/send', wanted),
    self: () => get('/v1/self'),
    checkSelf: () => post('/v1/self'),
    reload: () => post('/v1/reload'),
    certificates: () => get('/v1/certificates'),
    renewCertificates: (name) => post('/v1/certificates/renew', { name }),
  };
}

async function call(dataDir: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await open(dataDir, method, path, body);
  return JSON.parse((await collect(answer)).toString('utf8'));
}

/** The answer's stream, once its status is known to be good. */
function open(dataDir: string, method: string, path: string, body?: unknown): Promise<IncomingMessage> {
  return new Promise((resolveAnswer, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const outgoing = request({
      socketPath: socketPath(dataDir),
      method,
      path,
      timeout: TIMEOUT_MS,
      headers: { 'postern-account': account(), ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }) },
    });
    outgoing.on('timeout', () => outgoing.destroy(Object.assign(new Error(`no answer within ${TIMEOUT_MS / 1000} seconds`), { code: 'ETIMEDOUT' })));
    outgoing.on('error', (error) => reject(unreachable(error, dataDir)));
    outgoing.on('response', (answer) => {
      const status = answer.statusCode ?? 0;
      if (status < 400) return resolveAnswer(answer);
      collect(answer).then((text) => reject(refused(status, text)), reject);
    });
    outgoing.end(payload);
  });
}

/** Who is at the keyboard, for the audit log: before sudo, if that was used. */
function account(): string {
  const name = process.env['SUDO_USER'] || accountName();
  return /^[\w.@-]{1,64}$/.test(name) ? name : '';
}

/** A process may run under a number that has no name. */
function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/** What comes, and an error when it ends before its end. */
async function* whole(answer: IncomingMessage): AsyncIterable<Buffer> {
  try {
    yield* answer as AsyncIterable<Buffer>;
  } catch (error) {
    throw new PosternError(
      {
        code: 'content-broken-off',
        cause: 'The content broke off before its end: the message left the queue meanwhile, or the server failed.',
        fix: 'What was written so far is not all of it. See postern message show ID, and the log of the server.',
      },
      { exitCode: 1, cause: error },
    );
  }
}

async function collect(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ANSWER_BYTES)
      throw new PosternError({ code: 'answer-too-large', cause: 'The server answered with more than this command takes.', fix: 'Ask for less with --limit.' });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function unreachable(error: Error, dataDir: string): PosternError {
  const code = errorCode(error);
  const shown = resolve(dataDir);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return new PosternError(
      {
        code: 'server-not-running',
        cause: `No Postern server runs on the data directory ${shown}.`,
        fix: 'Start it with: postern serve. If it runs elsewhere, name its directory with --data DIR or POSTERN_DATA.',
      },
      { cause: error },
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new PosternError(
      {
        code: 'socket-not-allowed',
        cause: `This account may not open the management socket in ${shown}.`,
        fix: 'Run the command as the account that runs the server, or as root.',
      },
      { cause: error },
    );
  }
  return new PosternError(
    { code: 'server-not-reached', cause: `The server on ${shown} did not answer: ${error.message}.`, fix: 'See its log; restart it if it hangs.' },
    { cause: error },
  );
}

function refused(status: number, text: Buffer): PosternError {
  const failure = problemIn(text) ?? { code: 'server-failed', cause: `The server answered with status ${status}.`, fix: 'See its log.' };
  const exitCode = status >= 500 || status === 401 ? 3 : status === 400 || status === 422 ? 2 : 1;
  return new PosternError(failure, { exitCode });
}

function problemIn(text: Buffer): Failure | null {
  try {
    const { code, cause, fix } = JSON.parse(text.toString('utf8')) as Partial<Failure>;
    return code === undefined || cause === undefined || fix === undefined ? null : { code, cause, fix };
  } catch {
    return null;
  }
}
