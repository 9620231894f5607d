// The certificates of the running server: what is shown now, and in mode "acme" the keeper that has them issued, put together from the
// configuration. A new one is shown by main and all workers without a restart.

import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { systemClock } from '#base/clock.ts';
import { PosternError, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { AcmeConfig, Config } from '#config/config.ts';
import type { CertificateParts } from '#http/routes/certificates.ts';
import { openLiveDns } from '#dns/authority.ts';
import { openResolver } from '#dns/resolver.ts';
import { openDnsResponder } from '#tls/acme/dns-01.ts';
import type { TxtRecord } from '#tls/acme/dns-01.ts';
import { openHttpResponder } from '#tls/acme/http-01.ts';
import { openKeeper } from '#tls/acme/keeper.ts';
import type { Keeper } from '#tls/acme/keeper.ts';
import type { Responder } from '#tls/acme/responder.ts';
import { openTlsAlpnResponder } from '#tls/acme/tls-alpn-01.ts';
import { AcmeFiles } from '#tls/acme/files.ts';
import { ensureSelfSigned, openServerTls, outboundTls } from '#tls/context.ts';
import type { ServerTls } from '#tls/context.ts';
import type { BoundListener } from './binding.ts';
import type { PolicyHost, PolicyName } from './policy-host.ts';
import type { Workers } from './workers.ts';

export type Certificates = CertificateParts & {
  /** Begins to look after them; the listeners must be there. Returns who is to issue the certificate that is not there yet. */
  start(): string | null;
  /** What is wanted may have changed. */
  look(): void;
  stop(): Promise<void>;
};

type Parts = {
  readonly config: Config;
  readonly version: string;
  readonly dataDir: string;
  readonly vault: Vault;
  readonly tls: ServerTls;
  readonly workers: Pick<Workers, 'reloadCertificates' | 'challenge'>;
  readonly listeners: readonly BoundListener[];
  /** Has mta_sts.port, and shows on it what an authority is to see. */
  readonly policyHost: PolicyHost | null;
  /** Names that policies are served under, each of which gets a certificate of its own. */
  readonly policyNames: () => Promise<readonly PolicyName[]>;
  readonly log: Log;
};

const DAY_MS = 86_400_000;

/** The certificates as main reads them. It alone renews the self-signed one, at a start and a reload, before the workers read it. */
export async function openMainTls(parts: Pick<Parts, 'config' | 'dataDir' | 'vault' | 'log'>): Promise<ServerTls> {
  const { config, dataDir, vault, log } = parts;
  const { hostname, tls } = config;
  if (tls.mode !== 'files' && (tls.cert ?? tls.key) !== null) {
    const failure = {
      code: 'tls-files-not-used',
      cause: `The TLS mode is "${tls.mode}": the files named by tls.cert and tls.key are not used.`,
      fix: 'Set mode = "files" under [tls] to use them.',
    };
    log.warn('tls.files-not-used', { cert: tls.cert, failure });
  }
  const renew = async (): Promise<void> => {
    if (await needsStandIn(parts)) await ensureSelfSigned({ hostname, dataDir, clock: systemClock, log });
  };
  await renew();
  const opened = await openServerTls({ ...tls, hostname, dataDir, vault, clock: systemClock, log });
  return {
    ...opened,
    async reload() {
      await renew();
      await opened.reload();
    },
  };
}

/** Whether a self-signed certificate is shown: by configuration, or until the authority has issued one. */
async function needsStandIn({ config: { hostname, tls }, dataDir, vault }: Pick<Parts, 'config' | 'dataDir' | 'vault'>): Promise<boolean> {
  if (tls.mode !== 'acme') return tls.mode === 'self-signed';
  return (await new AcmeFiles(dataDir, vault).pair(hostname).catch(() => null)) === null;
}

export function openCertificates(parts: Parts): Certificates {
  const { config, tls, log } = parts;
  const keeper = config.tls.mode === 'acme' ? acmeKeeper(parts) : null;
  let daily: NodeJS.Timeout | null = null;
  return {
    mode: config.tls.mode,
    certificates: () => tls.describe(),
    renewals: () => keeper?.renewals() ?? [],
    renew: keeper === null ? null : (name) => keeper.renew(name),
    start() {
      daily = setInterval(() => tls.warn(), DAY_MS).unref();
      keeper?.start();
      if (keeper === null || tls.describe()[0]?.source !== 'self-signed') return null;
      log.warn('acme.self-signed-until-issued', {
        failure: {
          code: 'acme-self-signed-until-issued',
          cause: `There is no certificate for ${config.hostname} yet: until ${config.tls.acme.directory} has issued one, a self-signed certificate is shown.`,
          fix: 'It is ordered now. If it does not come, "postern tls show" says why.',
        },
      });
      return config.tls.acme.directory;
    },
    look: () => keeper?.look(),
    async stop() {
      if (daily !== null) clearInterval(daily);
      await keeper?.stop();
    },
  };
}

function acmeKeeper({ config, version, dataDir, vault, tls, workers, listeners, policyHost, policyNames, log }: Parts): Keeper {
  const { acme } = config.tls;
  const holderOf = (port: number): Holder | null => {
    if (listeners.some((listener) => listener.profile === 'submissions' && listener.port === port)) return (certificates) => workers.challenge(certificates);
    return policyHost !== null && config.mtaSts.port === port ? (certificates) => policyHost.challenge(certificates) : null;
  };
  return openKeeper({
    dataDir,
    vault,
    directory: acme.directory,
    contact: acme.contact,
    keyType: acme.keyType,
    challenge: acme.challenge,
    settings: createHash('sha256').update(JSON.stringify(acme)).digest('base64url'),
    async wanted() {
      const main = [...new Set([config.hostname, ...acme.names])];
      // A DNS that does not answer orders no certificate, and takes none away.
      const there = await new AcmeFiles(dataDir, vault).names();
      const own = (await policyNames()).filter(({ name, certain }) => !main.includes(name) && (certain || there.includes(name)));
      return [main, ...own.map(({ name }) => [name])];
    },
    external: () => externalAccount(acme),
    openResponder: (signal) => openResponder(config, { signal, log, holder: holderOf(acme.port) }),
    secureContext: () => outboundTls({ caFile: acme.caFile, caFileKey: 'tls.acme.ca_file' }).secureContext,
    userAgent: `postern/${version}`,
    async installed(names) {
      await tls.reload();
      await workers.reloadCertificates();
      log.info('acme.installed', { names });
    },
    clock: systemClock,
    log,
    random: Math.random,
  });
}

/** Whoever of this server listens on the port of the challenge already. */
type Holder = Workers['challenge'];
type Answering = { readonly signal: AbortSignal; readonly log: Log; readonly holder: Holder | null };

function openResponder({ tls: { acme }, dns }: Config, { signal, log, holder }: Answering): Responder {
  switch (acme.challenge) {
    case 'http-01':
      return openHttpResponder(acme);
    case 'tls-alpn-01':
      return openTlsAlpnResponder({ clock: systemClock, where: holder ?? acme });
    case 'dns-01':
      return openDnsResponder({
        hook: acme.hook,
        timeoutMs: acme.hookTimeoutMs,
        waitMs: acme.dnsWaitMs,
        lacking: (records) => lackingServers(dns, records, signal),
        clock: systemClock,
        log,
        signal,
      });
  }
}

/** Asks every name server of the zone itself: caches in between know nothing yet, or still the old. */
async function lackingServers(dns: Config['dns'], records: readonly TxtRecord[], signal: AbortSignal): Promise<readonly string[] | null> {
  const resolver = openResolver({ ...dns, clock: systemClock });
  try {
    const live = openLiveDns({ servers: dns.servers, resolver, clock: systemClock, signal });
    const answers = await Promise.all(records.map(async ({ record, value }) => ({ value, ...(await live.look(record, 'TXT')) })));
    const asked = answers.map(({ value, authorities }) => ({ value, servers: authorities.filter((one) => one.status === 'answered') }));
    if (asked.some(({ servers }) => servers.length === 0)) return null;
    return [...new Set(asked.flatMap(({ value, servers }) => servers.filter(({ texts }) => !texts.includes(value)).map(({ server }) => server)))];
  } finally {
    resolver.close();
  }
}

async function externalAccount({ external }: AcmeConfig): Promise<{ kid: string; hmacKey: Buffer } | null> {
  if (external === null) return null;
  const unusable = (what: string): PosternError =>
    new PosternError(
      {
        code: 'acme-eab-key-unusable',
        cause: `The key of the external account in ${external.keyFile} cannot be used: ${what}.`,
        fix: 'Put the HMAC key there as the authority gave it (base64url).',
      },
      { exitCode: 2 },
    );
  const text = await readFile(external.keyFile, 'utf8').catch((error: unknown) => {
    throw unusable(errorText(error));
  });
  const key = text.trim();
  if (!/^[A-Za-z0-9_+/-]+={0,2}$/.test(key)) throw unusable('it is not base64url');
  return { kid: external.kid, hmacKey: Buffer.from(key, 'base64url') };
}
