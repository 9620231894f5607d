// Certificates and keys as they lie on disk: read, checked against each other, refused with what is wrong; and the self-signed pair
// that is made when there is none. Opens no connection. RFC 7468 (PEM), RFC 5280.

import { X509Certificate, createPrivateKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import { makeSelfSigned } from './certificate.ts';

const DAY_MS = 86_400_000;
/** The longest life that clients commonly accept. */
const SELF_SIGNED_MS = 825 * DAY_MS;
const RENEW_BEFORE_MS = 30 * DAY_MS;
/** Clocks of clients may be behind ours. */
const BACKDATE_MS = DAY_MS;

export type KeyPairPaths = { readonly cert: string; readonly key: string };

/** A certificate (with its chain) and its key, known to fit. `names` are its DNS names, lower case. */
export type KeyPair = {
  readonly paths: KeyPairPaths;
  readonly certPem: string;
  readonly keyPem: string;
  readonly leaf: X509Certificate;
  readonly names: readonly string[];
  readonly expiresAtMs: number;
};

/** Where the self-signed pair is kept. */
export function selfSignedPaths(dataDir: string): KeyPairPaths {
  return { cert: join(dataDir, 'tls', 'cert.pem'), key: join(dataDir, 'tls', 'key.pem') };
}

/** Reads a pair; throws PosternError (exit code 2) that names the file and what is wrong with it. An expired certificate is no error. */
export async function readKeyPair(paths: KeyPairPaths): Promise<KeyPair> {
  const [certPem, keyPem] = await Promise.all([readPem(paths.cert, 'certificate'), readPem(paths.key, 'key')]);
  return checkKeyPair(paths, { certPem, keyPem });
}

/** The same for texts that are read already; `paths` is what messages name. */
export function checkKeyPair(paths: KeyPairPaths, { certPem, keyPem }: { readonly certPem: string; readonly keyPem: string }): KeyPair {
  const leaf = parseCertificate(certPem, paths.cert);
  const key = parseKey(keyPem, paths.key);
  if (!leaf.checkPrivateKey(key)) {
    throw refusal(
      'tls-key-mismatch',
      `The key in ${paths.key} does not belong to the certificate in ${paths.cert}.`,
      'Use the key that the certificate was issued for; put the server certificate first in the file, its chain after it.',
    );
  }
  return { paths, certPem, keyPem, leaf, names: dnsNames(leaf), expiresAtMs: Date.parse(leaf.validTo) };
}

async function readPem(path: string, what: 'certificate' | 'key'): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const missing = errorCode(error) === 'ENOENT';
    const cause = missing ? `The TLS ${what} file ${path} does not exist.` : `The TLS ${what} file ${path} cannot be read (${errorCode(error) ?? errorText(error)}).`;
    throw refusal(
      missing ? 'tls-file-missing' : 'tls-file-unreadable',
      cause,
      missing ? 'Check the path under [tls], or set mode = "self-signed".' : 'Let the user that runs Postern read the file.',
      error,
    );
  }
}

function parseCertificate(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw refusal(
      'tls-bad-certificate',
      `The file ${path} holds no certificate that can be read.`,
      'It must be PEM text that begins with -----BEGIN CERTIFICATE-----, the server certificate first.',
      error,
    );
  }
}

function parseKey(pem: string, path: string): KeyObject {
  if (/-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    throw refusal(
      'tls-key-encrypted',
      `The key in ${path} is encrypted with a passphrase.`,
      `Store it without one, readable only by Postern: openssl pkey -in ${path} -out plain.key`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw refusal('tls-bad-key', `The file ${path} holds no private key that can be read.`, 'It must be PEM text that begins with -----BEGIN PRIVATE KEY-----.', error);
  }
}

function refusal(code: string, cause: string, fix: string, error?: unknown): PosternError {
  return new PosternError({ code, cause, fix }, { exitCode: 2, cause: error });
}

/** The DNS names of a certificate, or its common name when it has no alternative names at all. */
function dnsNames(leaf: X509Certificate): string[] {
  const names = [...(leaf.subjectAltName ?? '').matchAll(/DNS:([^,"\s]+)/g)].map((match) => (match[1] ?? '').toLowerCase());
  if (leaf.subjectAltName !== undefined) return names;
  const common = /^CN=([^\s"]+)$/m.exec(leaf.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}

export type SelfSignedOptions = { readonly hostname: string; readonly dataDir: string; readonly clock: Clock; readonly log: Log };

/**
 * Sees to it that `DATA/tls` has a self-signed pair for this host name that holds for 30 days more, and returns where. Only one thread
 * may call it at a time: the main thread, at start and before a reload. Directory 0700, key 0600.
 */
export async function ensureSelfSigned(options: SelfSignedOptions): Promise<KeyPairPaths> {
  const { hostname, dataDir, clock, log } = options;
  const paths = selfSignedPaths(dataDir);
  const kept = await readKeyPair(paths).catch(() => null);
  if (kept !== null && kept.names.includes(hostname.toLowerCase()) && kept.expiresAtMs - clock.nowMs() > RENEW_BEFORE_MS) return paths;
  const nowMs = clock.nowMs();
  const made = makeSelfSigned(selfSignedNames(hostname), { fromMs: nowMs - BACKDATE_MS, untilMs: nowMs - BACKDATE_MS + SELF_SIGNED_MS });
  await mkdir(join(dataDir, 'tls'), { recursive: true, mode: 0o700 });
  await replaceFile(paths.key, made.keyPem, 0o600);
  await replaceFile(paths.cert, made.certPem, 0o644);
  log.info('tls.self-signed', { hostname, path: paths.cert, reason: kept === null ? 'none there' : 'expires soon or names another host' });
  return paths;
}

function selfSignedNames(hostname: string): string[] {
  return [...new Set([hostname.toLowerCase(), 'localhost', '127.0.0.1', '::1'])];
}

/** Never half a file: a crash, of the machine too, leaves the old one or the new one. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', mode);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  // The mode above counts only for a file that was not there.
  await chmod(fresh, mode);
  await rename(fresh, path);
  const directory = await open(dirname(path));
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
