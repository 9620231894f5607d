// Certificates of every kind, good and bad, made by openssl: authorities below authorities, constraints, dates in the past.
// Needs: openssl

import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { tempDir } from './temp.ts';

export type Certificate = { readonly cert: string; readonly key: string; readonly certFile: string; readonly keyFile: string; readonly der: Buffer };

export type Wanted = {
  readonly subject?: string;
  /** By whom; itself when there is none. */
  readonly issuer?: Certificate;
  readonly names?: readonly string[];
  readonly ca?: boolean;
  /** Negative: expired. */
  readonly days?: number;
  /** Lines of openssl's extension file. */
  readonly extensions?: readonly string[];
  /** Use this one's key again. */
  readonly keyOf?: Certificate;
};

/** Makes certificates in a directory of their own, which Postfix may read. */
export function openPki(): (wanted: Wanted) => Certificate {
  const dir = tempDir('pki');
  execFileSync('/bin/chmod', ['755', dir]);
  const openssl = (...args: string[]): void => void execFileSync('/usr/bin/openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let serial = 1;
  return (wanted) => {
    const base = join(dir, `c${++serial}`);
    const [certFile, request, extensionFile] = [`${base}.pem`, `${base}.csr`, `${base}.ext`];
    const keyFile = wanted.keyOf?.keyFile ?? `${base}.key`;
    if (wanted.keyOf === undefined) openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', keyFile);
    execFileSync('/bin/chmod', ['644', keyFile]);
    openssl('req', '-new', '-key', keyFile, '-subj', wanted.subject ?? `/CN=${wanted.names?.[0] ?? `Authority ${serial}`}`, '-out', request);
    const names = (wanted.names ?? []).map((name) => `DNS:${name}`).join(',');
    const lines = [
      ...(wanted.extensions?.some((line) => line.startsWith('basicConstraints')) === true ? [] : [`basicConstraints=critical,CA:${wanted.ca === true ? 'TRUE' : 'FALSE'}`]),
      ...(wanted.ca === true ? ['keyUsage=critical,keyCertSign,cRLSign'] : []),
      ...(names === '' ? [] : [`subjectAltName=${names}`]),
      ...(wanted.extensions ?? []),
    ];
    writeFileSync(extensionFile, `${lines.join('\n')}\n`);
    const signer = wanted.issuer === undefined ? ['-signkey', keyFile] : ['-CA', wanted.issuer.certFile, '-CAkey', wanted.issuer.keyFile];
    openssl('x509', '-req', '-in', request, ...signer, '-set_serial', String(serial), '-days', String(wanted.days ?? 30), '-extfile', extensionFile, '-out', certFile);
    const cert = readFileSync(certFile, 'utf8');
    return { cert, key: readFileSync(keyFile, 'utf8'), certFile, keyFile, der: new X509Certificate(cert).raw };
  };
}

/** A file with a leaf and what stands above it, as servers want it. */
export function chainFile(leaf: Certificate, ...issuers: readonly Certificate[]): string {
  const path = leaf.certFile.replace(/\.pem$/, `.${issuers.map((one) => basename(one.certFile, '.pem')).join('-')}.chain.pem`);
  writeFileSync(path, [leaf, ...issuers].map((one) => one.cert).join(''));
  return path;
}

/** The data of a TLSA record for a certificate, as in a zone file: `3 1 1 ab12...`. */
export function tlsaFor(certificate: Certificate, usage: number, selector: number, matchingType: number): string {
  const selected = selector === 0 ? certificate.der : new X509Certificate(certificate.der).publicKey.export({ type: 'spki', format: 'der' });
  const data =
    matchingType === 0
      ? selected
      : createHash(matchingType === 1 ? 'sha256' : 'sha512')
          .update(selected)
          .digest();
  return `${usage} ${selector} ${matchingType} ${data.toString('hex')}`;
}
