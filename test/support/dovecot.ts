// A real Dovecot of its own: LMTP by TCP and by socket into Maildirs of a temporary directory, and SASL for a Postfix.
// Needs: root, dovecot-core, dovecot-lmtpd

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answers, freePort, startProcess, tempDir, until } from './temp.ts';

export type Dovecot = { readonly port: number; readonly socket: string; /** For smtpd_sasl_path. */ readonly sasl: string; mails(user: string): string[] };

export async function startDovecot(options: { /** Passwords by user. */ readonly users: Readonly<Record<string, string>> }): Promise<Dovecot> {
  const dir = tempDir('dc');
  const port = await freePort();
  execFileSync('/bin/chmod', ['755', dir]);
  mkdirSync(join(dir, 'mail'));
  const [uid, gid] = ['-u', '-g'].map((flag) => execFileSync('/usr/bin/id', [flag, 'mail']).toString().trim());
  writeFileSync(
    join(dir, 'users'),
    Object.entries(options.users)
      .map(([user, password]) => `${user}:{PLAIN}${password}:${uid}:${gid}::${join(dir, 'mail')}/${user}::\n`)
      .join(''),
  );
  execFileSync('/bin/chown', ['-R', `${uid}:${gid}`, join(dir, 'mail')]);
  writeFileSync(
    join(dir, 'dovecot.conf'),
    `base_dir = ${dir}/run
state_dir = ${dir}/state
log_path = ${dir}/log
protocols = lmtp
ssl = no
first_valid_uid = 1
auth_username_format = %n
auth_mechanisms = plain login scram-sha-256
mail_location = maildir:~/Maildir
passdb {
  driver = passwd-file
  args = ${dir}/users
}
userdb {
  driver = passwd-file
  args = ${dir}/users
}
service auth {
  unix_listener sasl {
    mode = 0666
  }
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
  unix_listener lmtp {
    mode = 0666
  }
}
`,
  );
  const process = startProcess('/usr/sbin/dovecot', ['-F', '-c', join(dir, 'dovecot.conf')]);
  await until('Dovecot listens', () => answers('127.0.0.1', port)).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${process.output()}`);
  });
  return {
    port,
    socket: join(dir, 'run', 'lmtp'),
    sasl: join(dir, 'run', 'sasl'),
    mails(user) {
      const folder = join(dir, 'mail', user, 'Maildir', 'new');
      try {
        return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
      } catch {
        return [];
      }
    },
  };
}
