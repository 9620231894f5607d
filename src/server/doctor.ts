// The doctor as a service: examinations run beside the server's work, a few at once; who watches is told each finding as it is there. What is done
// is kept in the directory's database. A login that is tried is held while it runs, and nowhere else.

import type { SecureContext } from 'node:tls';
import { systemClock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import { openMessageIds } from '#base/id.ts';
import type { Log } from '#base/log.ts';
import type { Config } from '#config/config.ts';
import { openResolver } from '#dns/resolver.ts';
import { PORTS, diagnose } from '#doctor/doctor.ts';
import type { DoctorOptions } from '#doctor/doctor.ts';
import type { Report } from '#doctor/report.ts';
import { parseTarget } from '#doctor/target.ts';
import type { DoctorRequest, DoctorService, Examination, Progress } from '#http/views/doctor.ts';
import type { ReportStore } from '#store/reports.ts';

export type DoctorParts = { readonly config: () => Config; readonly tlsContext: () => SecureContext; readonly reports: ReportStore; readonly log: Log };

/** Each holds some sockets for as long as the other side takes. */
const MOST_AT_ONCE = 4;
/** What has ended stays in memory so long, for those who watch. */
const LINGER_MS = 60_000;
const LIMIT_MS = 180_000;

type Running = { run: Examination; readonly progress: Progress[]; readonly watchers: Set<() => void>; readonly ending: AbortController };

export function openDoctor(parts: DoctorParts): DoctorService & { close(): void } {
  const running = new Map<string, Running>();
  const newId = openMessageIds();
  const under = (): number => [...running.values()].filter(({ run }) => run.status === 'running').length;
  const start = async (request: DoctorRequest, by: string): Promise<Examination> => {
    if (under() >= MOST_AT_ONCE) throw tooMany();
    const nowMs = systemClock.nowMs();
    const run: Examination = { id: newId(nowMs), target: request.target, by, startedAtMs: nowMs, status: 'running', doing: null, report: null, failure: null, shareKey: null };
    const one: Running = { run, progress: [], watchers: new Set(), ending: new AbortController() };
    const tell = (progress: Progress): void => {
      one.progress.push(progress);
      if (progress.type === 'begun') one.run = { ...one.run, doing: progress.what };
      for (const watcher of one.watchers) watcher();
    };
    const resolver = openResolver({ ...parts.config().dns, clock: systemClock });
    running.set(run.id, one);
    try {
      const target = await parseTarget(request.target, resolver, request.as);
      void examine(parts, one, { target, request, tell, resolver });
    } catch (error) {
      running.delete(run.id);
      resolver.close();
      throw error;
    }
    return one.run;
  };
  const examine = async (
    { config, tlsContext, reports, log }: DoctorParts,
    one: Running,
    {
      target,
      request,
      tell,
      resolver,
    }: { target: Parameters<typeof diagnose>[1]; request: DoctorRequest; tell: (progress: Progress) => void; resolver: DoctorOptions['resolver'] },
  ): Promise<void> => {
    const signal = AbortSignal.any([one.ending.signal, AbortSignal.timeout(LIMIT_MS)]);
    try {
      const report = await diagnose(request.target, target, {
        resolver,
        context: tlsContext(),
        helo: config().hostname,
        timeoutMs: request.timeoutMs,
        ports: request.ports.length === 0 ? PORTS : request.ports,
        login: request.login,
        insecure: request.insecure,
        reference: request.reference,
        selectors: request.selectors,
        sendingAddresses: request.sendingAddresses,
        blocklists: request.blocklists ?? config().doctor.blocklists,
        mxPort: config().delivery.mxPort,
        signal,
        found: (finding) => tell({ type: 'found', finding }),
        begun: (what) => tell({ type: 'begun', what }),
      });
      if (one.ending.signal.aborted) return;
      const { status, text } = report.summary;
      reports.add({ id: one.run.id, target: request.target, by: one.run.by, startedAtMs: one.run.startedAtMs, status, summary: text }, JSON.stringify(report));
      one.run = { ...one.run, status: 'done', doing: null, report };
      tell({ type: 'done', summary: report.summary });
    } catch (error) {
      log.error('doctor.failed', { target: request.target, cause: errorText(error) });
      one.run = {
        ...one.run,
        status: 'failed',
        doing: null,
        failure: { code: 'doctor-failed', cause: 'The examination broke off.', fix: 'Try again; the server log has why (event doctor.failed).' },
      };
      tell({ type: 'failed' });
    } finally {
      resolver.close();
      systemClock.after(LINGER_MS, () => running.delete(one.run.id));
    }
  };
  return {
    start,
    list: (limit) => [...[...running.values()].filter(({ run }) => run.status === 'running').map(({ run }) => rowOf(run)), ...parts.reports.list(limit)],
    show(id) {
      const stored = parts.reports.find(id);
      if (stored === null) return running.get(id)?.run ?? null;
      const { json, status: _status, summary: _summary, ...row } = stored;
      return { ...row, status: 'done', doing: null, failure: null, report: JSON.parse(json) as Report };
    },
    async *watch(id, after) {
      const one = running.get(id);
      if (one === undefined) return;
      for (let at = after; ;) {
        for (; at < one.progress.length; at++) yield { n: at + 1, progress: one.progress[at] as Progress };
        if (one.run.status !== 'running' || one.ending.signal.aborted) return;
        await new Promise<void>((resolve) => {
          const wake = (): void => {
            one.watchers.delete(wake);
            resolve();
          };
          one.watchers.add(wake);
        });
      }
    },
    share: (id) => parts.reports.share(id),
    unshare: (id) => parts.reports.unshare(id),
    shared(key) {
      const json = parts.reports.shared(key);
      return json === null ? null : (JSON.parse(json) as Report);
    },
    remove: (id) => parts.reports.remove(id),
    close() {
      for (const one of running.values()) {
        one.ending.abort();
        for (const watcher of one.watchers) watcher();
      }
    },
  };
}

function rowOf({ id, target, by, startedAtMs }: Examination): ReturnType<DoctorService['list']>[number] {
  return { id, target, by, startedAtMs, status: 'running', summary: '', shareKey: null };
}

function tooMany(): PosternError {
  return new PosternError({
    code: 'doctor-busy',
    cause: `${MOST_AT_ONCE} examinations run already, which is as many as run at once.`,
    fix: 'Wait until one of them has ended, then ask again.',
  });
}
