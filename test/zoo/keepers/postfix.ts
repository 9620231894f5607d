// Keeps the animals that are Postfix: one master, an smtpd with options of its own for each port. Logins are checked by a Dovecot.

import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { startDovecot } from '../../support/dovecot.ts';
import { startPostfix } from '../../support/postfix.ts';
import type { Service } from '../../support/postfix.ts';
import type { CertificateKind } from './certificates.ts';

export type Postfix = {
  readonly by: 'postfix';
  readonly port: number;
  readonly implicit?: boolean;
  /** Default: a good one; null: no TLS. */
  readonly certificate?: CertificateKind | null;
  /** The name in the certificate; default: the animal's. */
  readonly host?: string;
  readonly options?: Readonly<Record<string, string>>;
};

export const LOGIN = { user: 'zoo', password: 'keeper' } as const;

/** Takes mail for its own domain, from nobody for others, and logins after TLS. */
const BASE = {
  smtpd_peername_lookup: 'no',
  smtpd_recipient_restrictions: '',
  smtpd_relay_restrictions: 'permit_sasl_authenticated,reject_unauth_destination',
  virtual_mailbox_domains: 'zoo.test',
  virtual_mailbox_maps: 'regexp:{{/^postmaster@/ box}}',
  mynetworks: '192.0.2.1/32',
  smtpd_sasl_auth_enable: 'no',
  smtpd_tls_auth_only: 'yes',
  smtpd_client_connection_count_limit: '0',
  allow_percent_hack: 'no',
  swap_bangpath: 'no',
  smtpd_tls_protocols: '>=TLSv1.2',
  smtpd_tls_mandatory_protocols: '>=TLSv1.2',
};

export async function keepPostfix(kept: readonly { name: string; keep: Postfix }[], ground: Ground): Promise<void> {
  if (kept.length === 0) return;
  const [dovecot, services] = await Promise.all([startDovecot({ users: { [LOGIN.user]: LOGIN.password } }), Promise.all(kept.map((one) => service(one, ground)))]);
  const good = await ground.certificates.issue('postfix.zoo.test', 'good');
  await startPostfix({ services, main: BASE, sasl: dovecot.sasl, tls: { cert: good.chain, key: good.key } });
}

async function service(
  { name, keep: { port, implicit = false, certificate = 'good', host = hostOf(name), options = {} } }: { name: string; keep: Postfix },
  ground: Ground,
): Promise<Service> {
  const files = certificate === null ? null : await ground.certificates.issue(host, certificate);
  const submission =
    port === 25
      ? {}
      : {
          smtpd_sasl_auth_enable: 'yes',
          smtpd_relay_restrictions: 'permit_sasl_authenticated,reject',
          ...(files === null || implicit ? {} : { smtpd_tls_security_level: 'encrypt' }),
        };
  return {
    address: ground.address(name),
    port,
    implicit,
    options: {
      myhostname: host,
      ...submission,
      ...(files === null ? { smtpd_tls_security_level: 'none' } : { smtpd_tls_cert_file: files.chain, smtpd_tls_key_file: files.key }),
      ...options,
    },
  };
}
