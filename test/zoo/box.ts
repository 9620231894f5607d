// The box around the zoo: the tour in namespaces of its own (network, files, processes), so that it has every port to itself and leaves nothing
// behind. What it prints is read here.
// Needs: root, iproute2, nftables, knot, unbound, openssl, python3, postfix, exim4-daemon-light, opensmtpd, dovecot-core, dovecot-submissiond, dovecot-imapd, stunnel4, haproxy, nginx-light, libnginx-mod-mail, socat, python3-aiosmtpd

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import type { Report } from '#doctor/report.ts';
import { ROOT } from '../support/postern.ts';

export type Visit = { readonly name: string; readonly code: number | null; readonly report: Report | null; readonly errors: string; readonly ms: number };

const UNSHARE = ['--net', '--mount', '--uts', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;

/** Goes through the zoo, or to the animals that are named. Rejects when it cannot be opened. */
export async function visit(names: readonly string[], seen: (visit: Visit) => void): Promise<void> {
  const env = { ...process.env };
  // What runs inside is no test of the runner.
  delete env['NODE_TEST_CONTEXT'];
  const child = spawn('/usr/bin/unshare', [...UNSHARE, process.execPath, '--disable-warning=ExperimentalWarning', join(ROOT, 'test/zoo/tour.ts'), ...names], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const closed = once(child, 'close') as Promise<[number | null]>;
  const ended = (): void => void child.kill('SIGKILL');
  process.once('exit', ended);
  for await (const line of createInterface({ input: child.stdout })) seen(JSON.parse(line) as Visit);
  const [code] = await closed;
  process.off('exit', ended);
  if (code !== 0) throw new Error(`the zoo could not be kept (exit ${code}):\n${errors}`);
}
