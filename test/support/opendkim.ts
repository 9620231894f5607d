// A real opendkim that signs, as a milter for a Postfix of the tests. RSA-2048, relaxed/relaxed.
// Needs: opendkim

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, freePort, startProcess, tempDir, until } from './temp.ts';

export type OpenDkim = { /** For smtpd_milters. */ readonly milter: string; /** The TXT record of its key, a zone-file line. */ readonly record: string };

/** Signs everything that claims to be from the domain, as SELECTOR of it. */
export async function startOpenDkim(domain: string, selector: string): Promise<OpenDkim> {
  const dir = tempDir('odk');
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const keyFile = join(dir, 'key.pem');
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  const port = await freePort();
  const config = join(dir, 'conf');
  writeFileSync(
    config,
    `Mode s\nDomain ${domain}\nSelector ${selector}\nKeyFile ${keyFile}\nCanonicalization relaxed/relaxed\nOversignHeaders From\nSocket inet:${port}@127.0.0.1\nSyslog no\nBackground no\nRequireSafeKeys no\nInternalHosts 0.0.0.0/0\n`,
  );
  const running = startProcess('/usr/sbin/opendkim', ['-f', '-x', config]);
  await until('opendkim listens', () => answers('127.0.0.1', port)).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${running.output()}`);
  });
  const text = publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const parts = `v=DKIM1; k=rsa; p=${text}`.match(/.{1,200}/g) ?? [];
  return { milter: `inet:127.0.0.1:${port}`, record: `${selector}._domainkey TXT ${parts.map((part) => `"${part}"`).join(' ')}` };
}
