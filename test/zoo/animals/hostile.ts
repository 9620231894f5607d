// What does not speak as it should, by mistake or on purpose: the doctor says so, in bounded time and memory, and breaks at nothing.

import type { Animal } from '../animal.ts';

const QUICK = ['--timeout', '3'] as const;

export const HOSTILE: readonly Animal[] = [
  {
    name: 'noise',
    fault: 'random bytes come instead of a greeting',
    keep: [{ by: 'socat', port: 587, shell: 'head -c 200000 /dev/urandom' }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /not an SMTP server/, cause: /does not speak SMTP/, fix: /port is the one of the mail server/, evidence: /./ },
  },
  {
    name: 'ssh-on-587',
    fault: 'an SSH server listens on 587',
    keep: [{ by: 'socat', port: 587, shell: "printf 'SSH-2.0-OpenSSH_9.2p1 Debian-2\\r\\n'; sleep 5" }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /not an SMTP server/, cause: /does not speak SMTP/, fix: /port is the one of the mail server/, evidence: /SSH-2\.0-OpenSSH/ },
  },
  {
    name: 'endless-greeting',
    fault: 'the greeting never ends',
    keep: [{ by: 'socat', port: 587, shell: "yes '220-and so on'" }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /not an SMTP server/, cause: /does not speak SMTP/, fix: /log of the server/, evidence: /without end/ },
  },
  {
    name: 'dribbled-greeting',
    fault: 'a tarpit lets one byte of the greeting through each second',
    keep: [{ by: 'socat', port: 587, shell: 'for c in 2 2 0 - t a r p i t; do printf %s "$c"; sleep 1; done' }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /no greeting/, cause: /tarpit/, fix: /log of the server/, evidence: /timed out/ },
  },
  {
    name: 'ends-after-greeting',
    fault: 'the server greets and hangs up',
    keep: [{ by: 'socat', port: 587, shell: "printf '220 mail.zoo.test ESMTP\\r\\n'" }],
    args: QUICK,
    expect: { check: 'ehlo', status: 'fail', title: /EHLO is not answered/, cause: /did not answer EHLO/, fix: /log of the server/, evidence: /closed/ },
  },
  {
    name: 'silent-after-greeting',
    fault: 'the server greets and answers nothing',
    keep: [{ by: 'socat', port: 587, shell: "printf '220 mail.zoo.test ESMTP\\r\\n'; sleep 30" }],
    args: QUICK,
    expect: { check: 'ehlo', status: 'fail', title: /EHLO is not answered/, cause: /did not answer EHLO/, fix: /log of the server/, evidence: /timed out/ },
  },
];
