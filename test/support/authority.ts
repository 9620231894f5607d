// Certificates for receivers, made by openssl as an operator would: one authority a test file, and what it signs.
// Needs: openssl

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp.ts';

export type Pair = { readonly certFile: string; readonly keyFile: string; readonly cert: string; readonly key: string };
export type Authority = { readonly caFile: string; issue(names: readonly string[], options?: { days?: number; use?: 'serverAuth' | 'clientAuth' }): Pair };

export function makeAuthority(): Authority {
  const dir = tempDir('ca');
  execFileSync('/bin/chmod', ['755', dir]);
  const openssl = (...args: string[]): void => void execFileSync('/usr/bin/openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const caFile = join(dir, 'ca.pem');
  const caKey = join(dir, 'ca.key');
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    caKey,
    '-out',
    caFile,
    '-days',
    '30',
    '-subj',
    '/CN=Test Authority',
    '-addext',
    'basicConstraints=critical,CA:TRUE',
  );
  let serial = 0;
  return {
    caFile,
    issue(names, options = {}) {
      const base = join(dir, `leaf${++serial}`);
      const alternatives = names.map((name) => `${/^[\d.]+$|:/.test(name) ? 'IP' : 'DNS'}:${name}`).join(',');
      writeFileSync(`${base}.ext`, `subjectAltName=${alternatives}\nextendedKeyUsage=${options.use ?? 'serverAuth'}\n`);
      openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${base}.key`, '-out', `${base}.csr`, '-subj', `/CN=${names[0] ?? 'x'}`);
      openssl(
        'x509',
        '-req',
        '-in',
        `${base}.csr`,
        '-CA',
        caFile,
        '-CAkey',
        caKey,
        '-CAcreateserial',
        '-days',
        String(options.days ?? 30),
        '-extfile',
        `${base}.ext`,
        '-out',
        `${base}.pem`,
      );
      execFileSync('/bin/chmod', ['644', `${base}.key`]);
      return { certFile: `${base}.pem`, keyFile: `${base}.key`, cert: readFileSync(`${base}.pem`, 'utf8'), key: readFileSync(`${base}.key`, 'utf8') };
    },
  };
}
