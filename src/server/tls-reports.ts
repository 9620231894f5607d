// TLS reports: each day's counts, a while after midnight (UTC), to whoever asks for them in the DNS. Owns when, to whom, and that each goes out
// once: what is due is a row, what was handed over is looked for before it is handed over again. RFC 8460 3, 4, 5.

import { createHash, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Clock } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { TlsReportDay, TlsReportService } from '#http/routes/tls.ts';
import { composeTlsReport, tlsReportFacts } from '#mail/tls-report.ts';
import type { NewMessage } from '#queue/queue.ts';
import type { LaneName } from '#queue/records.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import type { ReportRow, TlsSessions } from '#store/tls-sessions.ts';
import { httpsRequest } from '#tls/https-request.ts';
import type { HttpsParts } from '#tls/https-request.ts';
import { buildTlsReport, readReportTargets } from '#tls/tlsrpt.ts';
import type { TlsReport } from '#tls/tlsrpt.ts';

export type TlsReportParts = HttpsParts & {
  readonly config: () => Config;
  readonly sessions: TlsSessions;
  readonly resolver: Resolver;
  readonly clock: Clock;
  readonly log: Log;
  readonly newId: (nowMs: number) => string;
  /** Resolves when the queue has it, durable. */
  readonly accept: (message: NewMessage) => Promise<void>;
  /** Whether a message is, or was, in the queue. */
  readonly isKnown: (messageId: string) => Promise<boolean>;
  readonly sign: (chunks: readonly Buffer[], nowMs: number) => Promise<readonly Buffer[]>;
  readonly laneFor: (domain: string) => LaneName;
};

export type TlsReports = TlsReportService & { start(): void; /** Resolves when what is under way has ended. */ stop(): Promise<void> };

const DAY_MS = 86_400_000;
const TICK_MS = 60_000;
/** Look-ups that fail are tried again until noon; then the day is closed without them. */
const PREPARE_UNTIL_MS = DAY_MS / 2;
const PREPARE_AGAIN_MS = 30 * 60_000;
const DOMAINS_AT_ONCE = 500;
const LOOK_UPS_AT_ONCE = 8;
const SEND_AT_ONCE = 20;
/** A report that cannot be delivered is given up after a day (RFC 8460 5). */
const GIVE_UP_MS = DAY_MS;
const FIRST_RETRY_MS = 5 * 60_000;
const LONGEST_RETRY_MS = 4 * 3_600_000;
const POST_MS = 60_000;
const POST_ANSWER_BYTES = 64 * 1024;
/** Days that are kept: today, yesterday and one more to look at. */
const KEEP_DAYS = 3;
const compress = promisify(gzip);

export function openTlsReports(parts: TlsReportParts): TlsReports {
  const { sessions, clock, log } = parts;
  let cancel: (() => void) | null = null;
  let working: Promise<void> = Promise.resolve();
  let prepareAtMs = 0;
  let stopped = false;
  let trimmed = '';

  /** One after the other, so that a report is never handed over twice at the same time. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = working.then(work);
    working = turn.then(
      () => {},
      () => {},
    );
    return turn;
  };

  async function tick(): Promise<void> {
    const nowMs = clock.nowMs();
    const today = dayOf(nowMs);
    const yesterday = dayOf(nowMs - DAY_MS);
    const midnightMs = Date.parse(today);
    if (trimmed !== today) sessions.trim(dayOf(nowMs - KEEP_DAYS * DAY_MS));
    trimmed = today;
    const due = isSending(parts.config()) && nowMs - midnightMs >= delayMs(parts.config(), yesterday) && nowMs >= prepareAtMs;
    if (due && !sessions.prepared(yesterday)) {
      const complete = await prepare(parts, yesterday, null);
      if (complete || nowMs - midnightMs > PREPARE_UNTIL_MS) sessions.setPrepared(yesterday);
      else prepareAtMs = nowMs + PREPARE_AGAIN_MS;
    }
    for (const report of sessions.due(nowMs, SEND_AT_ONCE)) if (!stopped) await deliver(parts, report);
  }

  const again = (): void => {
    if (stopped) return;
    cancel = clock.after(TICK_MS, () => {
      inTurn(tick).then(again, (error: unknown) => {
        log.error('tls-report.failed', { cause: errorText(error), fix: 'It is tried again in a minute; see whether transport.db can be written.' });
        again();
      });
    });
  };

  return {
    start: again,
    stop() {
      stopped = true;
      cancel?.();
      return working;
    },
    day: (day) => dayView(parts, day),
    report: (day, domain) => documentOf(parts, day, domain),
    send: (day, domain) =>
      inTurn(async () => {
        await prepare(parts, day, domain);
        for (const report of sessions.reports(day, domain ?? undefined)) if (report.state !== 'sent') await deliver(parts, { ...report, state: 'waiting' });
        return sessions.reports(day, domain ?? undefined);
      }),
  };
}

/** Without a name that others can look up there is nobody whom they could believe. */
function isSending({ tlsReports, hostname }: Config): boolean {
  return tlsReports.send && hostname.includes('.');
}

/** Up to the longest delay, the same for one day and server, so that a restart changes nothing and not all servers report at midnight. */
function delayMs({ hostname, tlsReports }: Config, day: string): number {
  const share = createHash('sha256').update(`${hostname} ${day}`).digest().readUInt32BE(0) / 2 ** 32;
  return Math.floor(share * tlsReports.maxDelayMs);
}

/** Makes the rows of a day's reports; false when it could not be found out for all domains whether they want some. */
async function prepare(parts: TlsReportParts, day: string, only: string | null): Promise<boolean> {
  const { sessions } = parts;
  let complete = true;
  const look = async (domain: string): Promise<void> => {
    const answer = await parts.resolver.txt(`_smtp._tls.${domain}`);
    if (answer.status === 'failed') {
      if (answer.cause !== 'bad-name') complete = false;
      return;
    }
    if (answer.status !== 'found') return;
    for (const target of readReportTargets(answer.records)) {
      const text = target.kind === 'mail' ? `mailto:${target.address}` : target.url;
      sessions.addReport({ id: shortHash(`${day} ${domain} ${text}`), day, domain, target: text, createdAtMs: parts.clock.nowMs() });
    }
  };
  if (only !== null) {
    if (sessions.counts(day, only).length > 0) await look(only);
    return complete;
  }
  for (let after = ''; ;) {
    const domains = sessions.summaries(day, { after, limit: DOMAINS_AT_ONCE });
    const last = domains.at(-1);
    if (last === undefined) return complete;
    const left = domains.map(({ domain }) => domain);
    const work = async (): Promise<void> => {
      for (let domain = left.shift(); domain !== undefined; domain = left.shift()) await look(domain);
    };
    await Promise.all(Array.from({ length: LOOK_UPS_AT_ONCE }, work));
    after = last.domain;
  }
}

/** Hands one report over, and writes down what came of it. Never rejects for what the receiver does. */
async function deliver(parts: TlsReportParts, report: ReportRow): Promise<void> {
  const { sessions, clock, log } = parts;
  const document = documentOf(parts, report.day, report.domain);
  const nowMs = clock.nowMs();
  const done = (change: Pick<ReportRow, 'state' | 'messageId' | 'detail'> & { nextAtMs?: number }): void => {
    sessions.update(report.id, { nextAtMs: report.nextAtMs, ...change, attempts: report.attempts + 1 });
    const fields = { domain: report.domain, day: report.day, target: report.target, detail: change.detail };
    if (change.state === 'sent') log.info('tls-report.sent', { ...fields, ...(change.messageId === null ? {} : { id: change.messageId }) });
    else if (change.state === 'failed') log.warn('tls-report.given-up', { ...fields, fix: 'The receiver of the reports does not take them; nothing is to be done here.' });
    else log.warn('tls-report.deferred', { ...fields, nextAt: new Date(change.nextAtMs ?? 0).toISOString() });
  };
  if (document === null) return done({ state: 'failed', messageId: report.messageId, detail: 'there is nothing to report any more' });
  const sent = report.target.startsWith('mailto:') ? await byMail(parts, report, document) : await byPost(parts, report, document);
  if (sent.ok) return done({ state: 'sent', messageId: sent.messageId, detail: sent.detail });
  const nextAtMs = nowMs + Math.min(FIRST_RETRY_MS * 2 ** report.attempts, LONGEST_RETRY_MS);
  const givenUp = sent.final || nextAtMs > report.createdAtMs + GIVE_UP_MS;
  done({ state: givenUp ? 'failed' : 'waiting', messageId: sent.messageId, detail: sent.detail, nextAtMs });
}

type Sent = { readonly ok: boolean; readonly final: boolean; readonly messageId: string | null; readonly detail: string };

/** Through our own queue: delivery is its matter from then on. */
async function byMail(parts: TlsReportParts, report: ReportRow, document: TlsReport): Promise<Sent> {
  const to = parseMailbox(report.target.slice('mailto:'.length));
  if (to === null) return { ok: false, final: true, messageId: null, detail: 'the address cannot be read' };
  // A crash between handing over and writing it down must not send it twice.
  if (report.messageId !== null && (await parts.isKnown(report.messageId)))
    return { ok: true, final: true, messageId: report.messageId, detail: 'in the queue since before a restart' };
  const nowMs = parts.clock.nowMs();
  const messageId = report.messageId ?? parts.newId(nowMs);
  parts.sessions.update(report.id, { state: 'waiting', messageId, attempts: report.attempts, nextAtMs: report.nextAtMs, detail: report.detail });
  try {
    await parts.accept(await messageOf(parts, { report, document, to, messageId, nowMs }));
    return { ok: true, final: true, messageId, detail: 'handed to the queue' };
  } catch (error) {
    return { ok: false, final: false, messageId, detail: `the queue did not take it: ${errorText(error)}` };
  }
}

async function messageOf(parts: TlsReportParts, of: { report: ReportRow; document: TlsReport; to: Address; messageId: string; nowMs: number }): Promise<NewMessage> {
  const { report, document, to, messageId, nowMs } = of;
  const { hostname, tlsReports } = parts.config();
  const total = (key: 'total-successful-session-count' | 'total-failure-session-count'): number => document.policies.reduce((sum, { summary }) => sum + summary[key], 0);
  const mail = {
    id: messageId,
    hostname,
    from: tlsReports.from ?? `postmaster@${hostname}`,
    to: to.text,
    domain: report.domain,
    day: report.day,
    reportId: document['report-id'],
    organization: document['organization-name'],
    contact: document['contact-info'],
    successful: total('total-successful-session-count'),
    failed: total('total-failure-session-count'),
    compressed: await compress(JSON.stringify(document)),
    nowMs,
    boundary: `=_${randomBytes(16).toString('hex')}`,
  };
  const tail = await parts.sign([composeTlsReport(mail)], nowMs);
  const facts = tlsReportFacts(mail);
  return {
    envelope: {
      id: messageId,
      // Nobody is to be told when it does not arrive.
      from: null,
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + GIVE_UP_MS,
      warnAtMs: null,
      sizeBytes: tail.reduce((sum, chunk) => sum + chunk.length, 0),
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      tlsOptional: true,
      ret: null,
      envid: null,
      kind: 'mail',
      mode: 'live',
      origin: { profile: 'local', clientAddress: '', helo: '', tls: null, credential: null },
      subject: facts.subject.slice(0, 200),
      messageIdHeader: facts.messageId,
    },
    recipients: [{ n: 0, address: to, notify: { success: false, failure: false, delay: false }, orcpt: null, lane: parts.laneFor(to.domain) }],
    tail,
    written: 0,
  };
}

async function byPost(parts: TlsReportParts, report: ReportRow, document: TlsReport): Promise<Sent> {
  const url = new URL(report.target);
  const answer = await httpsRequest(parts, {
    host: url.hostname,
    port: url.port === '' ? 443 : Number(url.port),
    path: `${url.pathname}${url.search}`,
    method: 'POST',
    headers: { 'content-type': 'application/tlsrpt+gzip' },
    body: await compress(JSON.stringify(document)),
    maxBytes: POST_ANSWER_BYTES,
    timeoutMs: POST_MS,
  });
  if ('failure' in answer) return { ok: false, final: false, messageId: null, detail: answer.text };
  const ok = answer.status >= 200 && answer.status < 300;
  return { ok, final: false, messageId: null, detail: `the server answered with status ${answer.status}` };
}

function documentOf(parts: TlsReportParts, day: string, domain: string): TlsReport | null {
  const counts = parts.sessions.counts(day, domain);
  if (counts.length === 0) return null;
  const { hostname, tlsReports } = parts.config();
  const contact = tlsReports.contact ?? tlsReports.from ?? `postmaster@${hostname}`;
  // The same however often it is made.
  return buildTlsReport({ day, id: `${day}.${shortHash(`${day} ${domain} ${hostname}`)}@${hostname}`, organization: tlsReports.organization ?? hostname, contact }, counts);
}

function dayView(parts: TlsReportParts, day: string): TlsReportDay {
  const reports = Map.groupBy(parts.sessions.reports(day), ({ domain }) => domain);
  const domains = parts.sessions.summaries(day, { after: '', limit: DOMAINS_AT_ONCE });
  return {
    day,
    sending: isSending(parts.config()),
    more: domains.length === DOMAINS_AT_ONCE,
    domains: domains.map((summary) => ({ ...summary, reports: reports.get(summary.domain) ?? [] })),
  };
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20);
}
