// The certificates of the zoo, each with the one fault it is named for, made by openssl: a root, an intermediate below it, leaves below that.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, tempDir } from '../../support/temp.ts';

export type CertificateKind =
  | 'good'
  | 'good-rsa'
  | 'expired'
  | 'early'
  | 'soon'
  | 'self-signed'
  | 'wrong-name'
  | 'no-alternative-name'
  | 'incomplete'
  | 'expired-intermediate'
  | 'private-authority'
  | 'rsa-1024'
  | 'sha-1';

export type Files = { /** The leaf, then what stands above it. */ readonly chain: string; readonly key: string; readonly leaf: string };
export type Certificates = {
  /** What the doctor trusts. */
  readonly caFile: string;
  issue(host: string, kind: CertificateKind): Promise<Files>;
};

type Signer = 'root' | 'intermediate' | 'old' | 'private';
type Wanted = {
  readonly days?: readonly [from: number, to: number];
  readonly by?: Signer | 'self';
  readonly names?: 'none' | string;
  readonly key?: string;
  readonly digest?: string;
  readonly sent?: readonly Signer[];
};

const KINDS: Readonly<Record<CertificateKind, Wanted>> = {
  good: {},
  'good-rsa': { key: 'rsa:2048' },
  expired: { days: [-90, -3] },
  early: { days: [5, 90] },
  soon: { days: [-80, 3] },
  'self-signed': { by: 'self', sent: [] },
  'wrong-name': { names: 'mail.elsewhere.test' },
  'no-alternative-name': { names: 'none' },
  incomplete: { sent: [] },
  'expired-intermediate': { by: 'old', sent: ['old'] },
  'private-authority': { by: 'private', sent: ['private'] },
  'rsa-1024': { key: 'rsa:1024' },
  'sha-1': { digest: 'sha1' },
};

const DAY_MS = 86_400_000;

export async function openCertificates(): Promise<Certificates> {
  const dir = tempDir('crt');
  execFileSync('/bin/chmod', ['755', dir]);
  const file = (name: string): string => join(dir, name);
  const openssl = async (...args: string[]): Promise<void> => {
    const done = await run('/usr/bin/openssl', args, { cwd: dir });
    if (done.code !== 0) throw new Error(`openssl ${args.join(' ')}: ${done.stderr}`);
  };
  const makeKey = async (name: string, kind: string): Promise<void> => {
    await openssl(
      'genpkey',
      ...(kind === 'ec' ? ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] : ['-algorithm', 'RSA', '-pkeyopt', `rsa_keygen_bits:${kind.slice(4)}`]),
      '-out',
      file(`${name}.key`),
    );
    execFileSync('/bin/chmod', ['644', file(`${name}.key`)]);
  };
  const sign = async (name: string, subject: string, wanted: { by: string; days: readonly [number, number]; digest: string; extensions: string }): Promise<void> => {
    const base = file(name);
    // A database of its own for each: they are made side by side.
    writeFileSync(`${base}.txt`, '');
    const by = wanted.by === 'self' ? name : wanted.by;
    writeFileSync(
      `${base}.cnf`,
      `[ca]\ndefault_ca=a\n[a]\ndatabase=${base}.txt\nnew_certs_dir=${dir}\nrand_serial=yes\nunique_subject=no\npolicy=p\nemail_in_dn=no\n[p]\ncommonName=supplied\n[x]\n${wanted.extensions}\n`,
    );
    await openssl('req', '-new', '-key', `${base}.key`, '-subj', `/CN=${subject}`, '-out', `${base}.csr`);
    const [from, to] = wanted.days.map((days) => new Date(Date.now() + days * DAY_MS).toISOString().replace(/[-:T]|\.\d+/g, ''));
    const dates = ['-startdate', from ?? '', '-enddate', to ?? ''];
    const signer = wanted.by === 'self' ? ['-selfsign', '-keyfile', `${base}.key`] : ['-cert', file(`${by}.pem`), '-keyfile', file(`${by}.key`)];
    const form = ['-batch', '-notext', '-config', `${base}.cnf`, '-extensions', 'x', '-md', wanted.digest];
    await openssl('ca', ...form, ...dates, ...signer, '-in', `${base}.csr`, '-out', `${base}.pem`);
  };
  const authority = 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash';
  const makeAuthority = async (name: Signer, subject: string, by: string, days: readonly [number, number] = [-400, 400]): Promise<void> => {
    await makeKey(name, 'ec');
    await sign(name, subject, { by, days, digest: 'sha256', extensions: authority });
  };
  await Promise.all([makeAuthority('root', 'Zoo Root', 'self'), makeAuthority('private', 'Somebody Else Root', 'self')]);
  await Promise.all([makeAuthority('intermediate', 'Zoo Intermediate', 'root'), makeAuthority('old', 'Zoo Old Intermediate', 'root', [-300, -10])]);
  const texts = async (name: string, ...files: string[]): Promise<string> => {
    const { stdout } = await run('/bin/cat', files);
    writeFileSync(file(name), stdout, { mode: 0o644 });
    return file(name);
  };
  const made = new Map<string, Promise<Files>>();
  const make = async (host: string, kind: CertificateKind): Promise<Files> => {
    const { days = [-10, 80], by = 'intermediate', names = host, key = 'ec', digest = 'sha256', sent = ['intermediate'] } = KINDS[kind];
    const name = `${host}-${kind}`;
    await makeKey(name, key);
    const extensions = `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth${names === 'none' ? '' : `\nsubjectAltName=DNS:${names}`}`;
    await sign(name, names === 'none' ? host : names, { by, days, digest, extensions });
    const chain = await texts(`${name}.chain.pem`, `${file(name)}.pem`, ...sent.map((signer) => file(`${signer}.pem`)));
    return { chain, key: file(`${name}.key`), leaf: `${file(name)}.pem` };
  };
  return {
    caFile: file('root.pem'),
    issue(host, kind) {
      const name = `${host}-${kind}`;
      const files = made.get(name) ?? make(host, kind);
      made.set(name, files);
      return files;
    },
  };
}
