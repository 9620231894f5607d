// Every dialogue of test/dialogues on the real ports of a real server: the replies are those of the bare machine.

import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { TLSSocket } from 'node:tls';
import { playDialogue, readDialogues } from '../support/dialogue.ts';
import type { Dialogue, Line, Login } from '../support/dialogue.ts';
import { HOSTNAME, LIMITS, LOCAL_DOMAIN, SENDER_DOMAIN } from '../support/machine.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { rawTlsTo, rawTo } from '../support/raw.ts';
import type { Raw } from '../support/raw.ts';

let postern: Postern;
let login: Login;

before(async () => {
  postern = await startPostern({
    hostname: HOSTNAME,
    config: [
      `[limits]\nmessage_size = ${LIMITS.messageSizeBytes}\nheader_size = ${LIMITS.headerBytes}\nauth_failures = ${LIMITS.authFailures}\nrecipients = ${LIMITS.recipients}`,
      `[inbound]\ndomains = ["${LOCAL_DOMAIN}"]`,
      '[[route]]\nmatch = "*"\ntype = "capture"',
    ].join('\n'),
  });
  login = await postern.credential('app', '--domain', SENDER_DOMAIN);
});

for (const [i, dialogue] of readDialogues().entries()) {
  test(`${dialogue.file}: ${dialogue.title}`, async () => {
    const raw = await connect(dialogue, i);
    await playDialogue(dialogue, { line: lineOf(raw), login });
    raw.socket.destroy();
  });
}

/** Each from an address of its own, so that wrong passwords of one do not slow the next. */
function connect({ profile }: Dialogue, n: number): Promise<Raw> {
  const options = { greeting: false, localAddress: `127.0.${1 + Math.floor(n / 250)}.${1 + (n % 250)}` };
  return profile === 'submissions' ? rawTlsTo(postern.port(profile), options) : rawTo(postern.port(profile), options);
}

function lineOf(raw: Raw): Line {
  return {
    send: (bytes) => raw.send(bytes),
    reply: () => raw.reply(20_000),
    handshake: () => raw.secure(),
    binding(type) {
      const { socket } = raw;
      if (!(socket instanceof TLSSocket)) throw new Error('there is no TLS');
      if (type === 'tls-exporter') return socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
      const { raw: der } = new X509Certificate(readFileSync(join(postern.dataDir, 'tls/cert.pem')));
      return createHash('sha256').update(der).digest();
    },
  };
}
