// The TLS contexts: what this server shows to clients (by name, reloaded without a restart) and what it trusts when it is a client
// itself. Knows no sockets. RFC 8446, RFC 6066 3 (SNI), RFC 5077 and 8446 4.6.1 (tickets), RFC 6125 6.4.3 (wildcards).

import { X509Certificate, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, getCACertificates } from 'node:tls';
import type { SecureContext } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import { AcmeFiles } from './acme/files.ts';
import { ensureSelfSigned, readKeyPair, selfSignedPaths } from './files.ts';
import type { KeyPair, KeyPairPaths } from './files.ts';

export { ensureSelfSigned } from './files.ts';

const EXPIRY_WARNING_MS = 14 * 86_400_000;
/** Of a certificate that lives for days only and is renewed by itself, the last quarter. Whoever renews by hand hears of it in any case. */
const EXPIRY_WARNING_SHARE = 1 / 4;
export const TICKET_KEY_BYTES = 48;

/** Where a certificate comes from. In mode `acme` a self-signed one stands in until the first is issued. */
export type CertificateSource = 'self-signed' | 'files' | 'acme';

/** A certificate as operators want to see it. `names` are its DNS names. */
export type CertificateSummary = {
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly source: CertificateSource;
  readonly key: string;
  readonly serialNumber: string;
  readonly validFromAtMs: number;
  readonly expiresAtMs: number;
  readonly fingerprint256: string;
  readonly selfSigned: boolean;
  readonly path: string;
};

export type ServerTls = {
  /** The default certificate's context. */
  secureContext(): SecureContext;
  /** For `SNICallback`: the context of the certificate that has this name, else the default one. */
  sni: (name: string, cb: (error: Error | null, context?: SecureContext) => void) => void;
  /** Reads the files again. When something is wrong the old certificates stay and PosternError says what. */
  reload(): Promise<void>;
  /** The first is the default one. */
  describe(): CertificateSummary[];
  /** Logs what has expired or soon will. */
  warn(): void;
};

export type ServerTlsOptions = {
  readonly mode: CertificateSource;
  readonly cert: string | null;
  readonly key: string | null;
  readonly certificates: readonly KeyPairPaths[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly hostname: string;
  readonly dataDir: string;
  /** Opens the private keys of mode `acme`. */
  readonly vault: Vault;
  /** 48 secret bytes, the same for all workers, so that each resumes the others' sessions; absent: own ones. */
  readonly ticketKeys?: Buffer;
  readonly clock: Clock;
  readonly log: Log;
};

type Sourced = { readonly pair: KeyPair; readonly source: CertificateSource };
type Entry = Sourced & { readonly context: SecureContext };
/** All certificates: the first is the default. `byName` has exact names and, as `*.example.com`, wildcards. */
type Loaded = { readonly first: Entry; readonly all: readonly Entry[]; readonly byName: ReadonlyMap<string, Entry> };

/** Opens the server's certificates; throws PosternError (exit code 2) when one cannot be used. */
export async function openServerTls(options: ServerTlsOptions): Promise<ServerTls> {
  const ticketKeys = options.ticketKeys ?? randomBytes(TICKET_KEY_BYTES);
  let loaded = await load(options, ticketKeys);
  return {
    secureContext: () => loaded.first.context,
    sni: (name, cb) => cb(null, choose(loaded, name).context),
    async reload() {
      loaded = await load(options, ticketKeys);
      options.log.info('tls.reloaded', { certificates: loaded.all.length });
    },
    describe: () => loaded.all.map(summary),
    warn: () => loaded.all.forEach((entry) => warnOfDates(entry, options)),
  };
}

async function load(options: ServerTlsOptions, ticketKeys: Buffer): Promise<Loaded> {
  const more = options.certificates.map(async (paths): Promise<Sourced> => ({ pair: await readKeyPair(paths), source: 'files' }));
  const [main, ...others] = await Promise.all([mainPairs(options), ...more]);
  const found = [...main, ...others];
  const all = found.map((one) => ({ ...one, context: contextOf(one.pair, options, ticketKeys) }));
  const byName = new Map<string, Entry>();
  for (const entry of all) {
    warnOfDates(entry, options);
    // The first certificate that has a name serves it.
    for (const name of entry.pair.names) if (!byName.has(name)) byName.set(name, entry);
  }
  return { first: all[0] as Entry, all, byName };
}

/** The certificates of the mode; the first is the default one. */
async function mainPairs(options: ServerTlsOptions): Promise<Sourced[]> {
  switch (options.mode) {
    case 'self-signed':
      return [await standIn(options)];
    case 'files':
      return [{ pair: await configuredPair(options), source: 'files' }];
    case 'acme': {
      const issued = await issuedPairs(options);
      return issued[0]?.pair.names.includes(options.hostname) === true ? issued : [await standIn(options), ...issued];
    }
  }
}

async function standIn(options: ServerTlsOptions): Promise<Sourced> {
  // A pair that can be used is used: only `ensureSelfSigned`, called by one thread, renews it.
  const kept = await readKeyPair(selfSignedPaths(options.dataDir)).catch(() => null);
  return { pair: kept ?? (await readKeyPair(await ensureSelfSigned(options))), source: 'self-signed' };
}

async function configuredPair({ cert, key }: ServerTlsOptions): Promise<KeyPair> {
  if (cert === null || key === null) {
    throw new PosternError(
      { code: 'tls-not-configured', cause: 'The TLS mode is "files", but cert or key is not set.', fix: 'Set cert and key under [tls], or mode = "self-signed".' },
      { exitCode: 2 },
    );
  }
  return readKeyPair({ cert, key });
}

/** What ACME has brought so far, the one for the host name first. A broken file is made anew by the keeper; until then it is passed over. */
async function issuedPairs({ dataDir, vault, hostname, log }: ServerTlsOptions): Promise<Sourced[]> {
  const files = new AcmeFiles(dataDir, vault);
  const names = await files.names();
  const pairs = await Promise.all(
    names
      .toSorted((one, other) => Number(other === hostname) - Number(one === hostname))
      .map((name) =>
        files.pair(name).catch((error: unknown) => {
          log.warn('tls.certificate-broken', {
            name,
            failure: {
              code: 'tls-certificate-broken',
              cause: `A certificate that an authority issued cannot be read: ${errorText(error)}`,
              fix: 'It is ordered again by itself; see "postern tls show".',
            },
          });
          return null;
        }),
      ),
  );
  return pairs.flatMap((pair) => (pair === null ? [] : [{ pair, source: 'acme' }]));
}

function contextOf(pair: KeyPair, options: ServerTlsOptions, ticketKeys: Buffer): SecureContext {
  try {
    return createSecureContext({ cert: pair.certPem, key: pair.keyPem, minVersion: options.minVersion, ticketKeys, sessionIdContext: 'postern' });
  } catch (error) {
    throw new PosternError(
      {
        code: 'tls-unusable-certificate',
        cause: `The certificate in ${pair.paths.cert} cannot be used (${errorText(error)}).`,
        fix: 'Have it issued with an RSA key of 2048 bits or more, or an ECDSA P-256 key, and a complete PEM chain.',
      },
      { exitCode: 2, cause: error },
    );
  }
}

/** So near its end that somebody should hear of it. */
export function isExpiring(dates: { readonly validFromMs: number; readonly expiresMs: number; readonly nowMs: number; readonly byHand: boolean }): boolean {
  const { validFromMs, expiresMs, nowMs, byHand } = dates;
  return expiresMs - nowMs < Math.min(EXPIRY_WARNING_MS, byHand ? Infinity : (expiresMs - validFromMs) * EXPIRY_WARNING_SHARE);
}

function warnOfDates({ pair, source }: Sourced, { clock, log }: ServerTlsOptions): void {
  const leftMs = pair.expiresAtMs - clock.nowMs();
  const fields = { path: pair.paths.cert, names: pair.names, expiresAt: new Date(pair.expiresAtMs).toISOString() };
  const fix = source === 'acme' ? 'See with "postern tls show" why it was not renewed, mend that, then: postern tls renew' : 'Renew the certificate, then reload with SIGHUP.';
  if (leftMs <= 0) log.warn('tls.expired', { ...fields, failure: { code: 'tls-expired', cause: 'The certificate has expired: clients that verify it refuse to connect.', fix } });
  else if (isExpiring({ validFromMs: Date.parse(pair.leaf.validFrom), expiresMs: pair.expiresAtMs, nowMs: clock.nowMs(), byHand: source === 'files' }))
    log.warn('tls.expires-soon', { ...fields, failure: { code: 'tls-expires-soon', cause: `The certificate expires in ${Math.ceil(leftMs / 86_400_000)} days.`, fix } });
  if (Date.parse(pair.leaf.validFrom) > clock.nowMs()) {
    log.warn('tls.not-yet-valid', {
      ...fields,
      failure: { code: 'tls-not-yet-valid', cause: 'The certificate is not valid yet.', fix: 'Check the clock of this machine, or use the certificate from its first day on.' },
    });
  }
}

/** Exact name first, then a wildcard for one label (RFC 6125 6.4.3), then the default. */
function choose(loaded: Loaded, serverName: string): Entry {
  const name = serverName.toLowerCase();
  const dot = name.indexOf('.');
  return loaded.byName.get(name) ?? (dot > 0 ? loaded.byName.get(`*${name.slice(dot)}`) : undefined) ?? loaded.first;
}

function summary({ pair, source }: Sourced): CertificateSummary {
  const { leaf, names, expiresAtMs, paths } = pair;
  return {
    subject: leaf.subject.replace(/\n/g, ', '),
    issuer: leaf.issuer.replace(/\n/g, ', '),
    names,
    source,
    key: keyText(leaf.publicKey),
    serialNumber: leaf.serialNumber.toLowerCase(),
    validFromAtMs: Date.parse(leaf.validFrom),
    expiresAtMs,
    fingerprint256: leaf.fingerprint256,
    // Not `checkIssued`: it wants the right to sign certificates, which ours does not have.
    selfSigned: leaf.subject === leaf.issuer && leaf.verify(leaf.publicKey),
    path: paths.cert,
  };
}

/** `ECDSA prime256v1`, `RSA 2048`. */
function keyText({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string {
  if (asymmetricKeyType === 'ec') return `ECDSA ${asymmetricKeyDetails?.namedCurve ?? ''}`.trim();
  return `${(asymmetricKeyType ?? '').toUpperCase()} ${asymmetricKeyDetails?.modulusLength ?? ''}`.trim();
}

/**
 * What this server trusts as a client: Node's and the system's roots and the certificates of `caFile`; TLS 1.2 and up. Costs some 80 ms:
 * made once. Throws PosternError (exit code 2) when `caFile` cannot be used.
 */
export function outboundTls(options: {
  readonly caFile: string | null;
  /** More certificates to trust, PEM. */
  readonly trusted?: readonly string[];
  /** What is shown to servers that ask who we are, PEM. */
  readonly identity?: { readonly cert: string; readonly key: string };
  /** The key of the configuration that names `caFile`. */
  readonly caFileKey?: string;
}): { readonly secureContext: SecureContext } {
  const own = options.caFile === null ? [] : readAuthorities(options.caFile, options.caFileKey ?? 'delivery.ca_file');
  const extra = [...own, ...(options.trusted ?? [])];
  const ca = new Set([...getCACertificates('default'), ...getCACertificates('system'), ...extra].map((pem) => pem.trim()));
  return { secureContext: createSecureContext({ ca: [...ca], minVersion: 'TLSv1.2', ...options.identity }) };
}

function readAuthorities(path: string, key: string): string[] {
  const refuse = (cause: string, error?: unknown): PosternError =>
    new PosternError({ code: 'ca-file-unusable', cause, fix: `Point ${key} to a PEM file of certificates, or remove it.` }, { exitCode: 2, cause: error });
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw refuse(`The file of certificate authorities ${path} cannot be read (${errorCode(error) ?? errorText(error)}).`, error);
  }
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0) throw refuse(`The file of certificate authorities ${path} holds no certificate.`);
  for (const pem of certificates) {
    try {
      new X509Certificate(pem);
    } catch (error) {
      throw refuse(`The file of certificate authorities ${path} holds a certificate that cannot be read.`, error);
    }
  }
  return certificates;
}
