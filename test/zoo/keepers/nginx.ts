// Keeps the animals that are nginx: its mail proxy, or its web server where mail is awaited, and the web servers of MTA-STS policies. One nginx for each.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import type { CertificateKind } from './certificates.ts';
import { startDaemon } from './daemon.ts';

export type Nginx = {
  readonly by: 'nginx';
  readonly ports: readonly number[];
  readonly certificate?: CertificateKind;
  /** The name in the certificate; default: the animal's. */
  readonly host?: string;
  /** `mail`: an SMTP proxy; else the lines of a web server, `TLS` in them stands for its certificate. */
  readonly serves: 'mail' | { readonly web: string };
};

export async function keepNginx({ name, keep }: { name: string; keep: Nginx }, ground: Ground): Promise<void> {
  const dir = tempDir('ngx');
  const [host, address] = [keep.host ?? hostOf(name), ground.address(name)];
  const { chain, key } = await ground.certificates.issue(host, keep.certificate ?? 'good');
  const tls = `ssl_certificate ${chain};\nssl_certificate_key ${key};`;
  const listen = (port: number): string => `listen ${address}:${port}${port === 465 || port === 443 ? ' ssl' : ''};`;
  const mail = keep.ports
    .map(
      (port) =>
        `server {\n${listen(port)}\n${tls}\n${port === 465 ? '' : 'starttls only;'}\nprotocol smtp;\nserver_name ${host};\nsmtp_auth plain login;\nsmtp_capabilities 8BITMIME "SIZE 50000000" PIPELINING;\n}\n`,
    )
    .join('');
  const body =
    keep.serves === 'mail'
      ? `mail {\nauth_http 127.0.0.1:9/;\nssl_protocols TLSv1.2 TLSv1.3;\n${mail}}\n`
      : `http {\naccess_log off;\ndefault_type text/plain;\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${dir};`).join('\n')}\nserver {\n${keep.ports.map(listen).join('\n')}\nserver_name ${host};\n${keep.serves.web.replace('TLS', tls)}\n}\n}\n`;
  const conf = join(dir, 'nginx.conf');
  writeFileSync(conf, `load_module /usr/lib/nginx/modules/ngx_mail_module.so;\ndaemon off;\nmaster_process off;\npid ${dir}/pid;\nerror_log ${dir}/log;\nevents {}\n${body}`);
  await startDaemon({ name, command: '/usr/sbin/nginx', args: ['-c', conf, '-e', `${dir}/log`], listens: keep.ports.map((port) => ({ address, port })) });
}
