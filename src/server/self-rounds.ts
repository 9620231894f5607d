// The doctor's rounds on this very server: now and then, and when somebody asks. Gathers the facts, hands them to the doctor, and tells each change
// once: what is wrong, and when it is right again. Decides nothing about what is a fault.

import type { Cancel, Clock } from '#base/clock.ts';
import { sleep } from '#base/clock.ts';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { Finding, Report } from '#doctor/report.ts';
import type { OwnCertificate, OwnDomain, OwnRecord, SelfContext } from '#doctor/self/check.ts';
import type { DomainService } from '#http/views/domain.ts';
import type { SelfService, SelfState, SelfWarning } from '#http/routes/self.ts';
import type { Directory } from '#store/directory.ts';
import type { CertificateSummary } from '#tls/context.ts';

export type RoundsParts = {
  /** As it is now. */
  readonly config: () => Config;
  readonly directory: Pick<Directory, 'credentials'>;
  readonly domains: Pick<DomainService, 'list' | 'show' | 'check'>;
  readonly certificates: () => readonly CertificateSummary[];
  readonly tlsContext: () => SelfContext['context'];
  readonly openResolver: () => Resolver;
  readonly examine: (context: SelfContext) => Promise<Report>;
  readonly clock: Clock;
  readonly log: Log;
};

export type SelfRounds = SelfService & { start(): void; stop(): void };

/** A server that has just started is left alone for a moment: its domains are looked at first. */
const FIRST_MS = 30_000;
/** What is found for the first time is looked at again before it is told: a packet lost is no fault. */
const AGAIN_MS = 5_000;
const STEP_MS = 5_000;
/** For a fresh look at the records of all domains; what is not done by then is told as it was last seen. */
const DOMAINS_MS = 20_000;

export function openSelfRounds(parts: RoundsParts): SelfRounds {
  const { clock, log, config } = parts;
  const ending = new AbortController();
  const known = new Map<string, SelfWarning>();
  let last: Report | null = null;
  let running: Promise<void> | null = null;
  let cancel: Cancel = () => {};

  const examine = async (fresh: boolean): Promise<Report> => {
    const resolver = parts.openResolver();
    try {
      return await parts.examine(await gather(parts, resolver, fresh));
    } finally {
      resolver.close();
    }
  };
  const isNews = (finding: Finding): boolean => isBad(finding) && known.get(finding.id)?.title !== finding.title;
  const take = (report: Report): void => {
    last = report;
    for (const finding of report.checks) note(finding, known, parts);
    // What is no longer looked at (a domain that was removed) is no longer wrong.
    const there = new Set(report.checks.map(({ id }) => id));
    for (const [id, warning] of known) if (!there.has(id)) forget(warning, known, log);
  };
  const round = async (fresh: boolean): Promise<void> => {
    const first = await examine(fresh);
    if (fresh || !first.checks.some(isNews)) return take(first);
    await sleep(clock, AGAIN_MS, ending.signal);
    if (!ending.signal.aborted) take(await examine(false));
  };
  const start = (fresh: boolean): Promise<void> => {
    const run = round(fresh).finally(() => {
      if (running === run) running = null;
    });
    return (running = run);
  };
  /** Asks for the pause anew each time: it may have been changed. */
  const wait = (delayMs: number): void => {
    cancel = clock.after(delayMs, () => {
      if (ending.signal.aborted) return;
      const { everyMs } = config().doctor;
      const due = everyMs !== null && (last === null || clock.nowMs() - Date.parse(last.startedAt) >= everyMs);
      const work = due ? (running ?? start(false)) : Promise.resolve();
      work.catch((error: unknown) => log.error('self.not-checked', { cause: errorText(error) })).finally(() => wait(pauseMs(config().doctor.everyMs)));
    });
  };
  const state = (): SelfState => ({ everyMs: config().doctor.everyMs, warnings: [...known.values()], report: last });
  return {
    start: () => wait(Math.min(FIRST_MS, config().doctor.everyMs ?? FIRST_MS)),
    stop() {
      ending.abort();
      cancel();
    },
    last: state,
    async look() {
      // One that runs may have begun before what is to be seen.
      await running?.catch(() => {});
      await start(true);
      return state();
    },
  };
}

/** An interval that is made shorter, or switched on, is noticed within a minute. */
function pauseMs(everyMs: number | null): number {
  return Math.min(everyMs ?? 60_000, 60_000);
}

function isBad({ status }: Finding): boolean {
  return status === 'fail' || status === 'warn';
}

/** Tells what became wrong, and what became right; what could not be looked at stays as it was. */
function note(finding: Finding, known: Map<string, SelfWarning>, { clock, log }: RoundsParts): void {
  const { id, title, status, subject, evidence, cause, fix } = finding;
  const before = known.get(id);
  if (!isBad(finding)) {
    if (before !== undefined && status === 'pass') forget(before, known, log);
    return;
  }
  const check = id.slice(0, id.indexOf('@'));
  known.set(id, { id, check, subject, status: status === 'fail' ? 'fail' : 'warn', title, cause, fix, sinceAtMs: before?.sinceAtMs ?? clock.nowMs() });
  if (before?.title !== title) log.warn('self.warning', { check, subject, evidence, failure: { code: check, cause: `${title}: ${cause}`, fix } });
}

function forget({ id, check, subject, title, sinceAtMs }: SelfWarning, known: Map<string, SelfWarning>, log: Log): void {
  known.delete(id);
  log.info('self.resolved', { check, subject, was: title, since: new Date(sinceAtMs).toISOString() });
}

async function gather(parts: RoundsParts, resolver: Resolver, fresh: boolean): Promise<SelfContext> {
  const { config, directory, certificates, tlsContext, clock } = parts;
  const { hostname, delivery, routes, forwards, inbound, doctor } = config();
  const [credentials, domains] = await Promise.all([directory.credentials(), domainsOf(parts, fresh)]);
  const isUsed = domains.length > 0 || forwards.length > 0 || inbound.domains.length > 0 || credentials.some(({ mode, revokedAtMs }) => mode === 'live' && revokedAtMs === null);
  return {
    hostname,
    nowMs: clock.nowMs(),
    certificates: certificates().map(certificateOf),
    domains,
    sendsNothing: isUsed ? null : 'nothing is sent from here: there is no live credential and no domain',
    noMx: goesToMx(routes) ? null : 'no mail is delivered to mail hosts from here: all of it goes other routes',
    references: doctor.references,
    mxPort: delivery.mxPort,
    addresses: doctor.addresses,
    blocklists: doctor.blocklists,
    resolver,
    context: tlsContext(),
    timeoutMs: STEP_MS,
  };
}

/** The first route that matches is taken; what none matches goes to mail hosts. */
function goesToMx(routes: Config['routes']): boolean {
  const rest = routes.findIndex(({ match }) => match === '*');
  return rest === -1 || routes.slice(0, rest + 1).some(({ type }) => type === 'mx');
}

function certificateOf({ names, source, validFromAtMs, expiresAtMs }: CertificateSummary): OwnCertificate {
  const renewedBy = ({ acme: 'acme', 'self-signed': 'itself', files: 'operator' } as const)[source];
  return { names, validFromMs: validFromAtMs, expiresMs: expiresAtMs, renewedBy };
}

/** As the domain keeper last saw them, which looks often enough; when somebody asks, as they are now. */
async function domainsOf({ domains, clock }: RoundsParts, fresh: boolean): Promise<readonly OwnDomain[]> {
  const endMs = clock.nowMs() + DOMAINS_MS;
  const found: OwnDomain[] = [];
  for (const { name } of await domains.list()) {
    const checked = fresh && clock.nowMs() < endMs ? await domains.check(name) : null;
    const records = checked?.findings ?? (await domains.show(name))?.records ?? [];
    found.push({ name, records: records.map(recordOf) });
  }
  return found;
}

const STATUSES: ReadonlySet<string> = new Set(['right', 'missing', 'wrong', 'unknown']);

function recordOf({ type, name, purpose, status, cause = null }: { type: string; name: string; purpose: string; status: string; cause?: string | null }): OwnRecord {
  return { type, name, purpose, status: STATUSES.has(status) ? (status as OwnRecord['status']) : 'unchecked', cause };
}
