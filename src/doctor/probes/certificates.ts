// The facts of a certificate chain as a server presented it, each judged apart: OpenSSL tells the first fault only. RFC 5280, RFC 9525.

import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { errorCode } from '#base/failure.ts';
import type { PresentedChain } from '#tls/tlsa.ts';

export type CertificateFacts = {
  readonly subject: string;
  readonly issuer: string;
  readonly names: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly key: string;
  readonly weakKey: string | null;
  readonly selfSigned: boolean;
  readonly fingerprint256: string;
};

export type TlsFacts = {
  readonly protocol: string;
  readonly cipher: string;
  readonly handshakeMs: number;
  /** Leaf first; the peer's own, as it sent them. */
  readonly chain: readonly CertificateFacts[];
  /** OpenSSL's word for what is wrong with chain or name; null when it verifies. */
  readonly problem: string | null;
  readonly nameMatches: boolean;
  /** The same chain as bytes; null when none was shown. */
  readonly presented: PresentedChain | null;
};

const CHAIN = 10;

/** Reads what a handshake showed. `host` is the name that had to match. */
export function tlsFacts(socket: TLSSocket, host: string, handshakeMs: number): TlsFacts {
  const cipher = socket.getCipher();
  const chain: X509Certificate[] = [];
  let certificate = socket.getPeerCertificate(true);
  while (certificate.raw !== undefined && chain.length < CHAIN && !chain.some((one) => one.raw.equals(certificate.raw))) {
    chain.push(new X509Certificate(certificate.raw));
    certificate = certificate.issuerCertificate ?? {};
  }
  const [leaf, ...issuers] = chain;
  return {
    protocol: socket.getProtocol() ?? '',
    cipher: cipher.standardName ?? cipher.name,
    handshakeMs,
    chain: chain.map(certificateFacts),
    problem: socket.authorized ? null : problemOf(socket.authorizationError),
    nameMatches: leaf !== undefined && (isIP(host) === 0 ? leaf.checkHost(host, { subject: 'never' }) : leaf.checkIP(host)) !== undefined,
    presented: leaf === undefined ? null : { leaf: leaf.raw, issuers: issuers.map(({ raw }) => raw) },
  };
}

/** Node gives OpenSSL's word as a string, whatever its types say. */
function problemOf(error: unknown): string {
  if (typeof error === 'string') return error;
  return errorCode(error) ?? (error instanceof Error ? error.message : 'no certificate');
}

export function certificateFacts(certificate: X509Certificate): CertificateFacts {
  const { asymmetricKeyType: type = 'unknown', asymmetricKeyDetails: details } = certificate.publicKey;
  const bits = details?.modulusLength;
  const key = bits === undefined ? [type, details?.namedCurve].filter((part) => part !== undefined).join(' ') : `${type} ${bits}`;
  const signature = (certificate as X509Certificate & { readonly signatureAlgorithm?: string }).signatureAlgorithm ?? '';
  return {
    subject: oneLine(certificate.subject),
    issuer: oneLine(certificate.issuer),
    names: (certificate.subjectAltName ?? '')
      .split(', ')
      .map((name) => name.replace(/^(?:DNS|IP Address):/, ''))
      .filter((name) => name !== ''),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
    key,
    weakKey: weakness(type, bits, signature),
    selfSigned: certificate.subject === certificate.issuer && certificate.verify(certificate.publicKey),
    fingerprint256: certificate.fingerprint256,
  };
}

function weakness(type: string, bits: number | undefined, signature: string): string | null {
  if ((type === 'rsa' || type === 'dsa') && bits !== undefined && bits < 2048) return `${type.toUpperCase()} of ${bits} bits (2048 is the least)`;
  if (/md5|sha1(?!\d)/i.test(signature)) return `signed with ${signature}`;
  return null;
}

function oneLine(name: string): string {
  return name.replace(/\n/g, ', ');
}
