// Sees to it that there is a certificate for every group of names, in time: looks at each, orders what is due, notes how it went, and tells when
// there is something new to show. One order at a time. How an order goes is order.ts; when it is due is schedule.ts.

import { createPrivateKey } from 'node:crypto';
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { sleep } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Failure } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { KeyPair } from '#tls/files.ts';
import { certificateId } from './certificate-id.ts';
import { AcmeClient } from './client.ts';
import type { RenewalWindow } from './client.ts';
import { AcmeFiles, NEW_STATE } from './files.ts';
import type { RenewalState } from './files.ts';
import { openHttps } from './https.ts';
import type { Https } from './https.ts';
import { newAccountKey } from './jws.ts';
import { obtain } from './order.ts';
import type { KeyType } from './order.ts';
import { AcmeRefusal } from './problem.ts';
import type { ChallengeType } from './problem.ts';
import type { Responder } from './responder.ts';
import { renewalTime, retryTime, windowTime } from './schedule.ts';

export type KeeperOptions = {
  readonly dataDir: string;
  /** Seals private keys. */
  readonly vault: Vault;
  readonly directory: string;
  readonly contact: readonly string[];
  readonly keyType: KeyType;
  readonly challenge: ChallengeType;
  /** Tells one configuration of challenges from another: after a change the pause after a failure does not count. */
  readonly settings: string;
  /** The names that are wanted now, a list for each certificate; the first of a list is what it goes by. */
  readonly wanted: () => Promise<readonly (readonly string[])[]>;
  /** The external account of the authority's customer, read when it is needed. Rejects with PosternError. */
  readonly external: () => Promise<{ readonly kid: string; readonly hmacKey: Buffer } | null>;
  readonly openResponder: (signal: AbortSignal) => Responder;
  readonly secureContext: () => SecureContext;
  readonly userAgent: string;
  /** A new certificate lies in the files: to be shown from now on. */
  readonly installed: (names: readonly string[]) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 to below 1. */
  readonly random: () => number;
};

/** How the renewal of one certificate stands, for operators. */
export type Renewal = {
  readonly names: readonly string[];
  /** `ordering`: under way; `waiting`: for its time; `failing`: the last try failed, there will be another. */
  readonly status: 'ordering' | 'waiting' | 'failing';
  readonly directory: string;
  readonly challenge: ChallengeType;
  readonly obtainedAtMs: number | null;
  readonly nextAtMs: number | null;
  readonly window: { readonly startAtMs: number; readonly endAtMs: number; readonly explanation: string | null } | null;
  readonly failures: number;
  readonly lastError: (Failure & { readonly atMs: number }) | null;
};

export type Keeper = {
  /** Begins; never rejects. What goes wrong is in the log and in `renewals`. */
  start(): void;
  renewals(): Renewal[];
  /** Orders now: all, or the one that has this name. Rejects with PosternError for a name that no certificate has. Returns what was asked for. */
  renew(name: string | null): Promise<readonly (readonly string[])[]>;
  /** Looks at once whether something is due: what is wanted may have changed. */
  look(): void;
  /** Resolves when nothing is under way any more; an order is taken up again by the next start. */
  stop(): Promise<void>;
};

/** The clock of the machine may jump, and what is wanted may change: looked at this often at least. */
const LOOK_MS = 15 * 60_000;

type Group = { readonly names: readonly string[]; state: RenewalState; pair: KeyPair | null; ordering: boolean };

export function openKeeper(options: KeeperOptions): Keeper {
  return new CertificateKeeper(options);
}

class CertificateKeeper implements Keeper {
  readonly #options: KeeperOptions;
  readonly #files: AcmeFiles;
  readonly #ending = new AbortController();
  readonly #asked = new Set<string>();
  #groups: Group[] = [];
  #wake = new AbortController();
  #running: Promise<void> | null = null;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#files = new AcmeFiles(options.dataDir, options.vault);
  }

  start(): void {
    this.#running = this.#run();
  }

  renewals(): Renewal[] {
    const { directory, challenge, clock } = this.#options;
    return this.#groups.map(({ names, state, ordering }) => ({
      names,
      status: ordering ? 'ordering' : state.failures > 0 ? 'failing' : 'waiting',
      directory,
      challenge,
      obtainedAtMs: state.obtainedAtMs,
      nextAtMs: ordering ? clock.nowMs() : state.failures > 0 ? state.retryAtMs : state.renewAtMs,
      window: state.window === null ? null : { startAtMs: state.window.startMs, endAtMs: state.window.endMs, explanation: state.windowExplanation },
      failures: state.failures,
      lastError: state.lastError,
    }));
  }

  async renew(name: string | null): Promise<readonly (readonly string[])[]> {
    const chosen = this.#groups.filter(({ names }) => name === null || names.includes(name));
    if (chosen.length === 0) {
      throw new PosternError(
        { code: 'no-such-certificate', cause: `No certificate is wanted for ${name ?? 'anything'}.`, fix: 'List the ones there are with: postern tls show' },
        { exitCode: 1 },
      );
    }
    for (const { state } of chosen) {
      const { limitedUntilMs } = state;
      if (limitedUntilMs === null || limitedUntilMs <= this.#options.clock.nowMs()) continue;
      throw new PosternError(
        {
          code: 'acme-rate-limited',
          cause: `The authority takes no more requests before ${new Date(limitedUntilMs).toISOString()}.`,
          fix: 'Wait until then; it is tried again by itself. While you test, use its staging directory.',
        },
        { exitCode: 1 },
      );
    }
    for (const { names, ordering } of chosen) if (!ordering) this.#asked.add(names[0] ?? '');
    this.#wake.abort();
    return chosen.map(({ names }) => names);
  }

  look(): void {
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#ending.signal.aborted) {
      this.#wake = new AbortController();
      try {
        await this.#files.prepare();
        await this.#look();
      } catch (error) {
        if (this.#ending.signal.aborted) return;
        const failure = error instanceof PosternError ? { failure: error.failure } : {};
        log.error('acme.broken', { cause: errorText(error), ...failure });
      }
      await sleep(clock, this.#pauseMs(), AbortSignal.any([this.#ending.signal, this.#wake.signal]));
    }
  }

  /** Until the next thing is due. */
  #pauseMs(): number {
    const nowMs = this.#options.clock.nowMs();
    const times = this.#groups.flatMap(({ state }) => (state.failures > 0 ? [state.retryAtMs] : [state.renewAtMs, state.windowCheckAtMs]));
    return Math.max(1000, Math.min(LOOK_MS, ...times.map((atMs) => (atMs === null ? LOOK_MS : atMs - nowMs))));
  }

  /** Looks at every group once and does what is due. */
  async #look(): Promise<void> {
    await this.#takeStock();
    for (const group of this.#groups) {
      if (this.#ending.signal.aborted) return;
      await this.#adopt(group);
      const asked = this.#asked.delete(group.names[0] ?? '');
      const why = asked ? 'asked for' : this.#reason(group);
      if (why !== null && (asked || this.#mayTry(group))) await this.#attempt(group, why);
      else if (why === null) await this.#askWindow(group);
    }
    await this.#retire();
  }

  /** What is wanted, with what there is of it. */
  async #takeStock(): Promise<void> {
    const wanted = await this.#options.wanted();
    this.#groups = await Promise.all(
      wanted.map(async (names) => {
        const [name = ''] = names;
        // A broken one is as good as none; whoever shows certificates says that it is broken.
        const pair = await this.#files.pair(name).catch(() => null);
        return { names, pair, state: await this.#files.state(name), ordering: false };
      }),
    );
  }

  /** Why there must be a new certificate now; null when there need not be. */
  #reason({ names, pair, state }: Group): string | null {
    const { clock, directory, keyType } = this.#options;
    if (pair === null) return 'there is none yet';
    if (names.some((name) => !pair.names.includes(name)) || pair.names.some((name) => !names.includes(name))) return 'other names are wanted';
    if (state.directory !== directory) return 'it is from another authority';
    if (pair.leaf.publicKey.asymmetricKeyType !== (keyType === 'rsa' ? 'rsa' : 'ec')) return 'another kind of key is wanted';
    return (state.renewAtMs ?? 0) <= clock.nowMs() ? 'its time has come' : null;
  }

  #mayTry({ state }: Group): boolean {
    const nowMs = this.#options.clock.nowMs();
    if ((state.limitedUntilMs ?? 0) > nowMs) return false;
    return state.failures === 0 || state.settings !== this.#options.settings || (state.retryAtMs ?? 0) <= nowMs;
  }

  /** The program ended between the last two steps of an order: its certificate is there, only nobody noted it. */
  async #adopt(group: Group): Promise<void> {
    const { names, pair } = group;
    const [name = ''] = names;
    const order = pair === null ? null : await this.#files.order(name);
    if (pair === null || order === null || !pair.leaf.checkPrivateKey(createPrivateKey(order.keyPem))) return;
    await this.#noteIssued(group, pair, order.directory);
    await this.#files.removeOrder(name);
  }

  async #noteIssued(group: Group, pair: KeyPair, directory: string): Promise<void> {
    const { clock, random, settings } = this.#options;
    const nowMs = clock.nowMs();
    const renewAtMs = renewalTime(lifetimeOf(pair), null, random());
    await this.#note(group, { ...NEW_STATE, directory, obtainedAtMs: nowMs, renewAtMs, windowCheckAtMs: nowMs, settings });
  }

  async #attempt(group: Group, reason: string): Promise<void> {
    const { log } = this.#options;
    const { names } = group;
    group.ordering = true;
    log.info('acme.ordering', { names, reason });
    try {
      await this.#withClient(async (client) => this.#order(client, group));
    } catch (error) {
      if (!this.#ending.signal.aborted) await this.#failed(group, error);
    } finally {
      group.ordering = false;
    }
  }

  async #order(client: AcmeClient, group: Group): Promise<void> {
    const { clock, directory, keyType, log, openResponder } = this.#options;
    const { names, pair } = group;
    const [name = ''] = names;
    const responder = openResponder(this.#ending.signal);
    // Only the authority that issued a certificate knows it as a predecessor.
    const replaces = pair === null || group.state.directory !== directory ? null : certificateId(pair.leaf);
    const issued = await obtain({ client, responder, files: this.#files, clock, log, signal: this.#ending.signal, directory, names, keyType, replaces });
    group.pair = await this.#files.savePair(name, issued);
    await this.#noteIssued(group, group.pair, directory);
    await this.#files.removeOrder(name);
    log.info('acme.issued', { names, expiresAt: iso(group.pair.expiresAtMs), renewAt: iso(group.state.renewAtMs ?? 0) });
    // It lies in the files: whoever does not show it yet will after the next reload.
    await this.#options.installed(names).catch((error: unknown) =>
      log.error('acme.not-installed', {
        names,
        failure: { code: 'acme-not-installed', cause: `The new certificate is not shown yet: ${errorText(error)}`, fix: 'Reload with SIGHUP; if that fails too, restart.' },
      }),
    );
    await this.#askWindowOf(client, group);
  }

  async #failed(group: Group, error: unknown): Promise<void> {
    const { clock, log, random, settings } = this.#options;
    const nowMs = clock.nowMs();
    const failure =
      error instanceof PosternError
        ? error.failure
        : { code: 'acme-failed', cause: `The order failed unexpectedly: ${errorText(error)}.`, fix: 'It is tried again by itself; report it with the log if it lasts.' };
    const limitedUntilMs = error instanceof AcmeRefusal ? error.untilMs : null;
    const failures = group.state.failures + 1;
    const retryAtMs = Math.max(retryTime(nowMs, failures, random()), limitedUntilMs ?? 0);
    await this.#note(group, { ...group.state, failures, retryAtMs, limitedUntilMs, settings, lastError: { atMs: nowMs, ...failure } });
    const expiresAtMs = group.pair?.expiresAtMs ?? null;
    const fields = { names: group.names, failures, retryAt: iso(retryAtMs), expiresAt: expiresAtMs === null ? null : iso(expiresAtMs), failure };
    // A certificate that still holds gives time.
    if (expiresAtMs === null || expiresAtMs <= nowMs) log.error('acme.failed', fields);
    else log.warn('acme.failed', fields);
  }

  /** Asks the authority when it wants the certificate renewed, if it is time to ask. */
  async #askWindow(group: Group): Promise<void> {
    if ((group.state.windowCheckAtMs ?? 0) > this.#options.clock.nowMs()) return;
    await this.#withClient((client) => this.#askWindowOf(client, group)).catch((error: unknown) => this.#windowUnknown(group, error));
  }

  async #askWindowOf(client: AcmeClient, group: Group): Promise<void> {
    const { clock, log, random } = this.#options;
    const { pair, names, state } = group;
    const id = pair === null ? null : certificateId(pair.leaf);
    if (pair === null || id === null) return;
    const info = await client.renewalInfo(id).catch((error: unknown) => this.#windowUnknown(group, error));
    const windowCheckAtMs = windowTime(clock.nowMs(), info?.retryAtMs ?? null);
    if (info === null || sameWindow(info.window, state.window)) return this.#note(group, { ...group.state, windowCheckAtMs });
    // A time once chosen in a window is kept (RFC 9773 4.2): a new one is chosen for a new window only.
    const renewAtMs = renewalTime(lifetimeOf(pair), info.window, random());
    await this.#note(group, { ...group.state, window: info.window, windowExplanation: info.explanation, windowCheckAtMs, renewAtMs });
    log.info('acme.renewal-window', { names, from: iso(info.window.startMs), until: iso(info.window.endMs), renewAt: iso(renewAtMs), explanation: info.explanation });
  }

  /** Not knowing it is no failure: the third of the life holds. */
  async #windowUnknown(group: Group, error: unknown): Promise<null> {
    if (this.#ending.signal.aborted) return null;
    this.#options.log.info('acme.renewal-window-unknown', { names: group.names, cause: errorText(error) });
    await this.#note(group, { ...group.state, windowCheckAtMs: windowTime(this.#options.clock.nowMs(), null) });
    return null;
  }

  async #note(group: Group, state: RenewalState): Promise<void> {
    group.state = state;
    await this.#files.saveState(group.names[0] ?? '', state);
  }

  /** Certificates nobody wants any more go when everything that is wanted is there. */
  async #retire(): Promise<void> {
    if (this.#groups.some(({ pair }) => pair === null)) return;
    const wanted = new Set(this.#groups.map(({ names }) => names[0]));
    for (const name of await this.#files.names()) {
      if (wanted.has(name)) continue;
      await this.#files.remove(name);
      this.#options.log.info('acme.retired', { name });
    }
  }

  /** A client with the account of the directory; its connections end with `use`. */
  async #withClient<T>(use: (client: AcmeClient) => Promise<T>): Promise<T> {
    const { clock, contact, directory, external, log, secureContext, userAgent } = this.#options;
    const { signal } = this.#ending;
    const saved = await this.#files.account(directory);
    // The key is kept before it is shown to anybody: a crash in between must not lose the account.
    const account = saved ?? { directory, url: null, contact: [...contact], keyPem: newAccountKey() };
    if (saved === null) await this.#files.saveAccount(account);
    const known = account.contact.join() === contact.join() ? account.url : null;
    const https: Https = openHttps({ secureContext: secureContext(), userAgent, clock, signal });
    try {
      return await use(
        new AcmeClient({
          directoryUrl: directory,
          https,
          clock,
          log,
          signal,
          account: { contact, keyPem: account.keyPem, url: known, external: await external() },
          registered: (url) => this.#files.saveAccount({ ...account, contact: [...contact], url }),
        }),
      );
    } finally {
      https.close();
    }
  }
}

function lifetimeOf(pair: KeyPair): { fromMs: number; untilMs: number } {
  return { fromMs: Date.parse(pair.leaf.validFrom), untilMs: pair.expiresAtMs };
}

function sameWindow(one: RenewalWindow, other: RenewalWindow | null): boolean {
  return other !== null && one.startMs === other.startMs && one.endMs === other.endMs;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
