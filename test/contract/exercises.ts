// How each operation of the API is called by the contract test, in this order: what is sent, what is to come back. Answers are held against the
// document by the test; here stands only what it cannot know. Whoever adds an operation adds its row.

import { fromBase32, totpCode } from '#http/sign-in/totp.ts';
import { Authenticator } from '../support/authenticator.ts';

/** What earlier calls have taught: ids and names to go on with. */
export type Known = Record<string, string>;
export type Answer = { readonly status: number; readonly headers: Headers; readonly body: unknown; readonly text: string };

export type Exercise = {
  readonly operation: string;
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** For bodies that are no JSON; its media type is in the header. */
  readonly raw?: string | Buffer;
  readonly status: number;
  /** Keeps fields of the answer, by their path: `{ message: 'messages.0.id' }`. */
  readonly learn?: Readonly<Record<string, string>>;
  /** By the name of this machine, not its address: passkeys need one. */
  readonly byName?: true;
  /** Keeps the cookie that comes with the answer. */
  readonly cookie?: string;
  /** It does not end by itself: the beginning is enough. */
  readonly stream?: true;
  /** Called again until the answer is so; for what happens in its own time. */
  readonly until?: (body: never) => boolean;
};

const key = new Authenticator();
const NOBODY = '0000000000000000';

export function exercises(known: Known): readonly (() => Exercise)[] {
  return [
    () => ({ operation: 'getLiveness', status: 200 }),
    () => ({ operation: 'getReadiness', status: 200 }),
    () => ({ operation: 'getMetrics', status: 200 }),
    () => ({ operation: 'getIdentity', status: 200 }),
    () => ({ operation: 'getServer', status: 200 }),

    () => ({ operation: 'addToken', body: { name: 'made', scopes: ['queue:read'], project: 'shop', expiresInDays: 3, ratePerMinute: 600 }, status: 201 }),
    () => ({ operation: 'addToken', body: { name: 'made', scopes: ['queue:read'] }, status: 409 }),
    () => ({ operation: 'addToken', body: { name: 'made', scopes: ['nothing'] }, status: 422 }),
    () => ({ operation: 'listTokens', status: 200 }),
    () => ({ operation: 'revokeToken', params: { name: 'made' }, status: 200 }),
    () => ({ operation: 'revokeToken', params: { name: 'made' }, status: 404 }),

    ...people(known),

    () => ({
      operation: 'addCredential',
      body: { name: 'made', domains: ['sender.test'], mode: 'live', allowIps: ['192.0.2.0/24'], ratePerHour: 5, project: 'shop' },
      status: 201,
    }),
    () => ({ operation: 'addCredential', body: { name: 'made' }, status: 409 }),
    () => ({ operation: 'addCredential', body: { name: 'a b' }, status: 422 }),
    () => ({ operation: 'listCredentials', status: 200 }),
    () => ({ operation: 'rotateCredential', params: { name: 'made' }, status: 200 }),
    () => ({ operation: 'rotateCredential', params: { name: 'nobody' }, status: 404 }),
    () => ({ operation: 'revokeCredential', params: { name: 'made' }, status: 200 }),
    () => ({ operation: 'revokeCredential', params: { name: 'made' }, status: 404 }),

    () => ({ operation: 'addDomain', body: { name: 'sender.test', returnPath: 'rp', project: 'shop' }, status: 201 }),
    () => ({ operation: 'addDomain', body: { name: 'no_dot' }, status: 422 }),
    () => ({ operation: 'listDomains', status: 200 }),
    () => ({ operation: 'getDomain', params: { name: 'sender.test' }, status: 200 }),
    () => ({ operation: 'getDomain', params: { name: 'nowhere.test' }, status: 404 }),
    () => ({ operation: 'checkDomain', params: { name: 'sender.test' }, status: 200 }),
    () => ({ operation: 'checkDomain', params: { name: 'nowhere.test' }, status: 404 }),
    () => ({ operation: 'rotateDomain', params: { name: 'sender.test' }, body: { step: 'confirm' }, status: 409 }),
    () => ({ operation: 'rotateDomain', params: { name: 'sender.test' }, body: { step: 'start' }, status: 200 }),
    () => ({ operation: 'rotateDomain', params: { name: 'nowhere.test' }, status: 404 }),

    () => ({ operation: 'listMessages', query: { status: 'delivered' }, status: 200, learn: { delivered: 'messages.0.id' }, until: some('messages') }),
    () => ({ operation: 'listMessages', query: { status: 'deferred', to: 'refusing.test' }, status: 200, learn: { deferred: 'messages.0.id' }, until: some('messages') }),
    () => ({ operation: 'listMessages', query: { status: 'captured', since: '1h', limit: '1' }, status: 200, learn: { captured: 'messages.0.id' }, until: some('messages') }),
    () => ({ operation: 'listMessages', query: { text: 'parts' }, status: 200, until: some('messages') }),
    () => ({ operation: 'listMessages', query: { since: 'yesterday' }, status: 422 }),
    () => ({ operation: 'getMessage', params: { id: known['delivered'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessage', params: { id: known['deferred'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessage', params: { id: known['captured'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessage', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'getMessageTranscripts', params: { id: known['delivered'] ?? '' }, status: 200, until: some('transcripts') }),
    () => ({ operation: 'getMessageTranscripts', params: { id: known['deferred'] ?? '' }, status: 200, until: some('transcripts') }),
    () => ({ operation: 'getMessageTranscripts', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'getMessageBody', params: { id: known['captured'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessageBody', params: { id: known['delivered'] ?? '' }, status: 404 }),
    () => ({ operation: 'getMessageContent', params: { id: known['captured'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessageContent', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'getMessageRendered', params: { id: known['captured'] ?? '' }, status: 200 }),
    () => ({ operation: 'getMessageRendered', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'getMessageAttachment', params: { id: known['captured'] ?? '', n: '0' }, status: 200 }),
    () => ({ operation: 'getMessageAttachment', params: { id: known['captured'] ?? '', n: '7' }, status: 404 }),

    () => ({ operation: 'sendMessage', body: { from: 'App <app@sender.test>', to: ['dan@taking.test'], subject: 'Hi', text: 'Hello.' }, status: 202 }),
    () => ({
      operation: 'sendMessage',
      raw: 'From: app@sender.test\r\nTo: eve@taking.test\r\nSubject: Raw\r\n\r\nHello.\r\n',
      headers: { 'content-type': 'message/rfc822' },
      status: 202,
    }),
    () => ({ operation: 'sendMessage', body: { to: [] }, status: 422 }),
    () => ({
      operation: 'sendMessages',
      body: {
        messages: [
          { from: 'app@sender.test', to: ['fay@taking.test'], text: 'Hello.' },
          { from: 'nobody', to: ['x'] },
        ],
      },
      status: 422,
    }),
    () => ({
      operation: 'sendMessages',
      body: {
        messages: [
          { from: 'app@sender.test', to: ['fay@taking.test'], text: 'Hello.' },
          { from: 'app@sender.test', to: ['gil@taking.test'], html: '<p>Hello.' },
        ],
      },
      status: 202,
    }),

    () => ({ operation: 'addSuppression', body: { address: 'gone@taking.test', reason: 'unsubscribed', note: 'by letter' }, status: 201 }),
    () => ({ operation: 'addSuppression', body: { address: 'gone@taking.test' }, status: 200 }),
    () => ({ operation: 'addSuppression', body: { address: 'nobody' }, status: 422 }),
    () => ({ operation: 'importSuppressions', body: { entries: [{ address: 'lost@taking.test', sender: 'sender.test', reason: 'complained' }] }, status: 200 }),
    () => ({ operation: 'listSuppressions', query: { to: 'taking.test' }, status: 200 }),
    () => ({ operation: 'getSuppression', params: { address: 'gone@taking.test' }, status: 200 }),
    () => ({ operation: 'getSuppression', params: { address: 'nobody@taking.test' }, status: 404 }),
    () => ({ operation: 'removeSuppression', params: { address: 'gone@taking.test' }, status: 200 }),
    () => ({ operation: 'removeSuppression', params: { address: 'gone@taking.test' }, status: 404 }),
    () => ({
      operation: 'addWebhook',
      body: { url: `https://${known['receiver']}:${known['receiverPort']}/hook`, types: ['message.bounced'] },
      status: 201,
      learn: { webhook: 'id' },
    }),
    () => ({ operation: 'addWebhook', body: { url: 'http://app.test/' }, status: 422 }),
    () => ({ operation: 'addWebhook', body: { url: 'https://app.test/', types: ['nothing'] }, status: 422 }),
    () => ({ operation: 'listWebhooks', status: 200 }),
    () => ({ operation: 'changeWebhook', params: { id: known['webhook'] ?? '' }, body: { description: 'made', concurrency: 1 }, status: 200 }),
    () => ({ operation: 'testWebhook', params: { id: known['webhook'] ?? '' }, status: 200 }),
    () => ({ operation: 'rotateWebhook', params: { id: known['webhook'] ?? '' }, body: { overlapHours: 1 }, status: 200 }),
    () => ({ operation: 'disableWebhook', params: { id: known['webhook'] ?? '' }, status: 200 }),
    () => ({ operation: 'enableWebhook', params: { id: known['webhook'] ?? '' }, body: { skip: true }, status: 200 }),
    () => ({ operation: 'replayWebhook', params: { id: known['webhook'] ?? '' }, body: { since: '1h' }, status: 202 }),
    () => ({ operation: 'replayWebhook', params: { id: known['webhook'] ?? '' }, body: {}, status: 422 }),
    () => ({ operation: 'listWebhookDeliveries', params: { id: known['webhook'] ?? '' }, status: 200 }),
    () => ({ operation: 'getWebhook', params: { id: known['webhook'] ?? '' }, status: 200 }),
    () => ({ operation: 'removeWebhook', params: { id: known['webhook'] ?? '' }, status: 200 }),
    ...['change', 'remove', 'test', 'rotate', 'enable', 'disable', 'replay'].map((verb) => (): Exercise => ({
      operation: `${verb}Webhook`,
      params: { id: 'wh_none' },
      body: verb === 'replay' ? { since: '1h' } : {},
      status: 404,
    })),
    () => ({ operation: 'getWebhook', params: { id: 'wh_none' }, status: 404 }),
    () => ({ operation: 'listWebhookDeliveries', params: { id: 'wh_none' }, status: 404 }),

    () => ({ operation: 'listEvents', query: { types: 'message.accepted,message.deferred', since: '1h', limit: '5' }, status: 200, learn: { event: 'events.0.id', next: 'next' } }),
    () => ({ operation: 'listEvents', query: { after: known['next'] ?? '' }, status: 200 }),
    () => ({ operation: 'listEvents', query: { types: 'nothing' }, status: 422 }),
    () => ({ operation: 'streamEvents', query: { after: 'evt_0_0' }, status: 200, stream: true }),
    ...['Mail', 'Latency', 'Port', 'Encryption', 'Failure', 'Queue'].flatMap((name) => [
      (): Exercise => ({ operation: `get${name}Statistics`, query: { span: 'minute', since: '1h' }, status: 200 }),
      (): Exercise => ({ operation: `get${name}Statistics`, query: { span: 'minute', since: '3650d' }, status: 422 }),
    ]),
    () => ({ operation: 'getMailStatistics', query: { credential: 'live' }, status: 200 }),
    () => ({ operation: 'getMailStatistics', query: { credential: 'nobody' }, status: 404 }),

    () => ({ operation: 'listQueue', query: { state: 'deferred' }, status: 200 }),
    () => ({ operation: 'listQueue', query: { state: 'gone' }, status: 422 }),
    () => ({ operation: 'getQueued', params: { id: known['deferred'] ?? '' }, status: 200 }),
    () => ({ operation: 'getQueued', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'listLanes', status: 200 }),
    () => ({ operation: 'holdQueued', body: { by: 'domain', domain: 'refusing.test' }, status: 200 }),
    () => ({ operation: 'releaseQueued', body: { by: 'domain', domain: 'refusing.test' }, status: 200 }),
    () => ({ operation: 'retryQueued', body: { by: 'message', id: known['deferred'] ?? '' }, status: 200 }),
    () => ({ operation: 'cancelQueued', body: { by: 'message', id: known['deferred'] ?? '' }, status: 200 }),
    () => ({ operation: 'cancelQueued', body: { by: 'everything' }, status: 422 }),

    () => ({ operation: 'listRoutes', status: 200 }),
    () => ({ operation: 'testRoute', body: { to: 'ann@taking.test' }, status: 200 }),
    () => ({ operation: 'testRoute', body: { to: 'ann@nowhere.test' }, status: 200 }),
    () => ({ operation: 'testRoute', body: { to: '@@' }, status: 422 }),
    () => ({ operation: 'listCertificates', status: 200 }),
    () => ({ operation: 'renewCertificates', status: 422 }),
    () => ({ operation: 'getTlsPolicy', params: { domain: 'taking.test' }, status: 200 }),
    () => ({ operation: 'getTlsPolicy', params: { domain: 'nowhere.test' }, query: { demand: 'requiretls' }, status: 200 }),
    () => ({ operation: 'listTlsReports', status: 200, until: some('domains') }),
    () => ({ operation: 'getTlsReport', params: { domain: 'taking.test' }, status: 200 }),
    () => ({ operation: 'getTlsReport', params: { domain: 'nowhere.test' }, status: 404 }),
    () => ({ operation: 'sendTlsReports', body: {}, status: 200 }),
    () => ({ operation: 'sendTlsReports', body: { day: '2999-01-01' }, status: 422 }),
    () => ({ operation: 'reload', status: 200 }),

    () => ({ operation: 'examine', body: { target: `[${known['receiver'] ?? ''}]:${known['receiverPort'] ?? ''}`, timeoutMs: 2000 }, status: 202, learn: { examination: 'id' } }),
    () => ({ operation: 'examine', body: { target: '..' }, status: 422 }),
    () => ({ operation: 'watchExamination', params: { id: known['examination'] ?? '' }, status: 200 }),
    () => ({ operation: 'watchExamination', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'getExamination', params: { id: known['examination'] ?? '' }, status: 200, until: (body: { status: string }) => body.status === 'done' }),
    () => ({ operation: 'getExamination', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'listExaminations', status: 200 }),
    () => ({ operation: 'shareExamination', params: { id: known['examination'] ?? '' }, status: 200, learn: { sharePath: 'sharePath' } }),
    () => ({ operation: 'shareExamination', params: { id: NOBODY }, status: 404 }),
    () => ({ operation: 'readSharedReport', params: { key: known['sharePath']?.split('/').at(-1) ?? '' }, status: 200 }),
    () => ({ operation: 'unshareExamination', params: { id: known['examination'] ?? '' }, status: 200 }),
    () => ({ operation: 'unshareExamination', params: { id: known['examination'] ?? '' }, status: 404 }),
    () => ({ operation: 'readSharedReport', params: { key: known['sharePath']?.split('/').at(-1) ?? '' }, status: 404 }),
    () => ({ operation: 'removeExamination', params: { id: known['examination'] ?? '' }, status: 200 }),
    () => ({ operation: 'removeExamination', params: { id: known['examination'] ?? '' }, status: 404 }),
    () => ({ operation: 'getSelf', status: 200 }),
    () => ({ operation: 'checkSelf', status: 200 }),
    () => ({ operation: 'advise', body: { library: 'nodemailer', username: 'shop' }, status: 200 }),
    () => ({ operation: 'advise', body: { scenario: 'own-server', host: 'mail.example.com' }, status: 200 }),
    () => ({ operation: 'advise', body: { library: 'no such library' }, status: 422 }),
    () => ({ operation: 'listLibraries', status: 200 }),
    () => ({ operation: 'listProviders', status: 200 }),

    () => ({ operation: 'removeDomain', params: { name: 'sender.test' }, status: 200 }),
    () => ({ operation: 'removeDomain', params: { name: 'sender.test' }, status: 404 }),
    () => ({ operation: 'listAudit', query: { limit: '5' }, status: 200 }),
    () => ({ operation: 'listAudit', query: { action: 'addToken', before: '3' }, status: 200 }),
  ];
}

/** A person comes in, sets everything up that there is, and goes. */
function people(known: Known): (() => Exercise)[] {
  const page = { 'sec-fetch-site': 'same-origin' };
  const me = (): Pick<Exercise, 'headers' | 'byName'> => ({ headers: { ...page, cookie: known['cookie'] ?? '' }, byName: true });
  const origin = (): string => known['origin'] ?? '';
  const creation = () => ({ challenge: known['challenge'] ?? '', rp: { id: 'localhost' } });
  const steps = (ms: number): number => Math.floor((Date.now() + ms) / 30_000);
  return [
    () => ({ operation: 'changePerson', params: { name: 'admin' }, body: { scopes: ['audit:read'] }, status: 409 }),
    () => ({ operation: 'removePerson', params: { name: 'admin' }, status: 409 }),
    () => ({ operation: 'addPerson', body: { name: 'ada', scopes: ['admin'] }, status: 201, learn: { link: 'link' } }),
    () => ({ operation: 'addPerson', body: { name: 'ada', scopes: ['admin'] }, status: 409 }),
    () => ({ operation: 'listPeople', status: 200 }),
    () => ({ operation: 'changePerson', params: { name: 'ada' }, body: { scopes: ['admin', 'audit:read'] }, status: 200 }),
    () => ({ operation: 'changePerson', params: { name: 'nobody' }, body: { scopes: ['admin'] }, status: 404 }),
    () => ({ operation: 'getSession', status: 401 }),
    () => ({ operation: 'signIn', body: { link: 'nothing' }, headers: page, status: 401 }),
    () => ({ operation: 'signIn', body: { link: known['link']?.split('#')[1] }, headers: page, byName: true, status: 200, cookie: 'cookie' }),
    () => ({ operation: 'getSession', ...me(), status: 200 }),
    () => ({ operation: 'setPassword', body: { password: 'a long and private sentence' }, ...me(), status: 200 }),
    () => ({ operation: 'signIn', body: { name: 'ada', password: 'a long and private sentence' }, headers: page, status: 200, learn: { session: 'session.id' } }),
    () => ({ operation: 'listSessions', ...me(), status: 200 }),
    () => ({ operation: 'endSession', params: { id: known['session'] ?? '' }, ...me(), status: 200 }),
    () => ({ operation: 'endSession', params: { id: known['session'] ?? '' }, ...me(), status: 404 }),
    () => ({ operation: 'beginTotp', body: {}, ...me(), status: 200, learn: { secret: 'secret' } }),
    () => ({ operation: 'confirmTotp', body: { secret: known['secret'], code: totpCode(fromBase32(known['secret'] ?? 'A'.repeat(32)), steps(0)) }, ...me(), status: 200 }),
    () => ({ operation: 'removeTotp', body: {}, ...me(), status: 200 }),
    () => ({ operation: 'askToMakePasskey', body: {}, ...me(), status: 200, learn: { challenge: 'challenge' } }),
    () => ({ operation: 'addPasskey', body: { name: 'laptop', passkey: key.create(origin(), creation()) }, ...me(), status: 201 }),
    () => ({ operation: 'askToMakePasskey', body: {}, ...me(), status: 200, learn: { challenge: 'challenge' } }),
    () => ({ operation: 'addPasskey', body: { name: 'laptop', passkey: key.create(origin(), creation()) }, ...me(), status: 409 }),
    () => ({ operation: 'listPasskeys', ...me(), status: 200 }),
    () => ({ operation: 'askForPasskey', byName: true, status: 200, learn: { challenge: 'challenge' } }),
    () => ({ operation: 'signIn', body: { passkey: key.get(origin(), { challenge: known['challenge'] ?? '', rpId: 'localhost' }) }, headers: page, byName: true, status: 200 }),
    () => ({ operation: 'removePasskey', params: { id: key.id }, body: {}, ...me(), status: 200 }),
    () => ({ operation: 'removePasskey', params: { id: key.id }, body: {}, ...me(), status: 404 }),
    () => ({ operation: 'signOut', ...me(), status: 200 }),
    () => ({ operation: 'makeSignInLink', params: { name: 'ada' }, status: 200 }),
    () => ({ operation: 'makeSignInLink', params: { name: 'nobody' }, status: 404 }),
    () => ({ operation: 'removePerson', params: { name: 'ada' }, status: 200 }),
    () => ({ operation: 'removePerson', params: { name: 'ada' }, status: 404 }),
  ];
}

function some(list: string): (body: never) => boolean {
  return (body: Record<string, readonly unknown[]>) => (body[list]?.length ?? 0) > 0;
}
