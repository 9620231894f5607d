// A real Postfix of its own: configuration, queue and log in a temporary directory, started in the foreground. As MX, as smarthost with
// TLS and SASL, or as the relay that the benchmark compares with.
// Needs: root, postfix

import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { answers, startProcess, tempDir, until } from './temp.ts';
import type { Running } from './temp.ts';

/** One smtpd: where it listens, TLS from the first byte or not, and its own options. */
export type Service = { readonly address?: string; readonly port: number; readonly implicit?: boolean; readonly options?: Readonly<Record<string, string>> };

export type Postfix = {
  readonly dir: string;
  readonly process: Running;
  log(): string;
  /** The content of a mailbox it delivered to locally (mbox), '' while there is none. */
  mailbox(user: string): string;
};

export type PostfixOptions = {
  readonly services: readonly Service[];
  readonly main?: Readonly<Record<string, string>>;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The resolver it is to use, at port 53 of this address: put in the place of the system's for this Postfix alone. */
  readonly resolver?: string;
  /** Dovecot's socket for SASL. */
  readonly sasl?: string;
  /** Domains it delivers locally, every address into one mailbox a domain. */
  readonly domains?: readonly string[];
};

/** Starts it and waits until every service answers. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const dir = tempDir('pf');
  execFileSync('/bin/chmod', ['755', dir]);
  const conf = join(dir, 'conf');
  for (const name of ['conf', 'q', 'd', 'mail']) mkdirSync(join(dir, name), { mode: 0o755 });
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('/usr/bin/id', [flag, 'postfix']).toString()));
  for (const name of ['d', 'mail']) chownSync(join(dir, name), uid ?? 0, gid ?? 0);
  const tls: Readonly<Record<string, string>> =
    options.tls === undefined
      ? { smtpd_tls_security_level: 'none' }
      : { smtpd_tls_security_level: 'may', smtpd_tls_cert_file: options.tls.cert, smtpd_tls_key_file: options.tls.key, smtpd_tls_loglevel: '1' };
  const main = {
    compatibility_level: '3.6',
    queue_directory: join(dir, 'q'),
    data_directory: join(dir, 'd'),
    command_directory: '/usr/sbin',
    daemon_directory: '/usr/lib/postfix/sbin',
    mail_owner: 'postfix',
    setgid_group: 'postdrop',
    maillog_file: join(dir, 'log'),
    maillog_file_prefixes: dir,
    myhostname: 'postfix.test',
    mydestination: '',
    mynetworks: '127.0.0.0/8',
    inet_interfaces: 'all',
    inet_protocols: 'ipv4',
    alias_maps: '',
    local_recipient_maps: '',
    smtputf8_enable: 'yes',
    smtpd_recipient_restrictions: 'permit_mynetworks,permit_sasl_authenticated,reject_unauth_destination',
    smtpd_relay_restrictions: 'permit_mynetworks,permit_sasl_authenticated,reject_unauth_destination',
    virtual_mailbox_domains: (options.domains ?? []).join(' '),
    virtual_mailbox_base: join(dir, 'mail'),
    virtual_mailbox_maps: `static:box`,
    virtual_minimum_uid: '1',
    virtual_uid_maps: `static:${uid}`,
    virtual_gid_maps: `static:${gid}`,
    message_size_limit: '100000000',
    virtual_mailbox_limit: '0',
    mailbox_size_limit: '0',
    ...tls,
    ...saslSettings(options.sasl),
    ...options.main,
  };
  writeFileSync(
    join(conf, 'main.cf'),
    Object.entries(main)
      .map(([key, value]) => `${key} = ${value}\n`)
      .join(''),
  );
  writeFileSync(join(conf, 'master.cf'), masterText(options.services));
  execFileSync('/usr/sbin/postfix', ['-c', conf, 'check'], { stdio: 'ignore' });
  // Not by "postfix start-fg": a shell stands before that, and its end is not the end of the master.
  const [command, args] = masterCommand(conf, options.resolver);
  const process = startProcess(command, args, { stdio: 'ignore', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } });
  const log = (): string => {
    try {
      return readFileSync(join(dir, 'log'), 'latin1');
    } catch {
      return '';
    }
  };
  for (const service of options.services) {
    await until(`Postfix listens on ${service.port}`, () => answers(service.address ?? '127.0.0.1', service.port)).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${process.output()}\n${log()}`);
    });
  }
  const mailbox = (): string => {
    try {
      return readFileSync(join(dir, 'mail', 'box'), 'latin1');
    } catch {
      return '';
    }
  };
  return { dir, process, log, mailbox };
}

/** With a mount namespace of its own, in which another file lies over /etc/resolv.conf. */
function masterCommand(conf: string, resolver: string | undefined): [string, string[]] {
  const master = ['/usr/lib/postfix/sbin/master', '-c', conf, '-d'] as const;
  if (resolver === undefined) return [master[0], master.slice(1)];
  writeFileSync(join(conf, 'resolv.conf'), `nameserver ${resolver}\n`);
  return ['/usr/bin/unshare', ['--mount', '/bin/sh', '-c', `mount --bind ${conf}/resolv.conf /etc/resolv.conf && exec ${master.join(' ')}`]];
}

function saslSettings(socket: string | undefined): Record<string, string> {
  if (socket === undefined) return {};
  return { smtpd_sasl_auth_enable: 'yes', smtpd_sasl_type: 'dovecot', smtpd_sasl_path: socket, smtpd_sasl_security_options: 'noanonymous' };
}

function masterText(services: readonly Service[]): string {
  const smtpd = services.map(({ address, port, implicit, options }) => {
    const all = { ...(implicit === true ? { smtpd_tls_wrappermode: 'yes', smtpd_tls_security_level: 'encrypt' } : {}), ...options };
    return `${address ?? '127.0.0.1'}:${port} inet n - n - - smtpd${Object.entries(all)
      .map(([key, value]) => `\n  -o { ${key} = ${value} }`)
      .join('')}\n`;
  });
  return `${smtpd.join('')}pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`;
}
