// Mail by port 25 as the world sends it: a Postfix whose opendkim signs, swaks that forges, a real DNS with their records, and Postern that
// judges. What is refused, what is tagged, what is told, and what it costs.
// Needs: knot, unbound, postfix, opendkim, swaks

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { BodyHash, canonicalField } from '#mail/dkim/canonical.ts';
import { computeSignature } from '#mail/dkim/pen.ts';
import { parseMailbox } from '#smtp/address.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startOpenDkim } from '../support/opendkim.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startPostfix } from '../support/postfix.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, run, tempDir, until } from '../support/temp.ts';

/** The one machine that may send for sender.test; swaks comes from the other. */
const [SENDER, FORGER] = ['127.46.0.2', '127.46.0.3'];

type Verdicts = {
  spf: { result: string; reason: string };
  dkim: { result: string; domain: string; selector: string; reason: string }[];
  dmarc: { result: string; policy: string | null; by: string | null };
  arc: { result: string };
  disposition: string;
};
type Detail = { id: string; envelope: { authentication?: Verdicts } };

/** Signs what no real signer would take. */
const own = generateKeyPairSync('rsa', { modulusLength: 2048 });

let dns: Dns;
let postern: Postern;
let postfixPort: number;

before(async () => {
  const signer = await startOpenDkim('sender.test', 'mail');
  dns = await startDns({
    'sender.test': `@ TXT "v=spf1 ip4:${SENDER} -all"\n_dmarc TXT "v=DMARC1; p=reject; np=reject"\n${signer.record}\nown._domainkey TXT ${quoted(`v=DKIM1; p=${own.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')}`)}`,
    'quarantine.test': '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=quarantine"',
    'tried.test': '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=reject; t=y"',
    'open.test': '@ TXT "v=spf1 ?all"\n_dmarc TXT "v=DMARC1; p=none"',
    'many.test': `@ TXT "v=spf1 ${Array.from({ length: 11 }, (_, i) => `a:h${i}.many.test`).join(' ')} -all"\n${Array.from({ length: 11 }, (_, i) => `h${i} A 192.0.2.${i}`).join('\n')}`,
  });
  postern = await startPostern({
    hostname: 'mx.local.test',
    config: `[dns]\nservers = ["${dns.server}"]\n[inbound]\ndomains = ["local.test"]\n[[route]]\nmatch = "local.test"\ntype = "capture"\n[limits]\nmessage_size = "400MB"\n`,
  });
  postfixPort = await freePort();
  await startPostfix({
    services: [{ port: postfixPort }],
    main: {
      smtpd_milters: signer.milter,
      smtp_bind_address: SENDER,
      smtp_helo_name: 'mail.sender.test',
      relayhost: `[127.0.0.1]:${postern.port('mx')}`,
      relay_domains: 'local.test',
      relay_recipient_maps: '',
    },
  });
});

function quoted(text: string): string {
  return (text.match(/.{1,200}/g) ?? []).map((part) => `"${part}"`).join(' ');
}

/** Sends through the Postfix that signs; returns what came of it. */
async function sendSigned(subject: string, body = 'Hello there.\r\n'): Promise<{ detail: Detail; content: string }> {
  const client = await connectTo(postfixPort);
  await accepted(client, { from: 'joe@sender.test', to: ['box@local.test'], content: message(subject, body) }).catch(async (error: unknown) => {
    // Postfix says "queued as" in words of its own.
    if (!/queued as/i.test(String(error))) throw error;
  });
  await client.quit();
  return captured(subject);
}

async function captured(subject: string, withinMs = 20_000): Promise<{ detail: Detail; content: string }> {
  const row = await until(`${subject} is captured`, async () => (await messages(postern, 'captured', 1)).find((one) => one.subject === subject), withinMs);
  const detail = await postern.json<Detail>('message', 'show', row.id);
  const { stdout } = await postern.cli('message', 'body', row.id);
  return { detail, content: stdout };
}

/** swaks on another machine; the transcript it prints. */
async function swaks(from: string, more: readonly string[]): Promise<string> {
  const to = `--server 127.0.0.1 --port ${postern.port('mx')} --local-interface ${FORGER} --helo forger.test --to box@local.test`.split(' ');
  const { stdout } = await run('/usr/bin/swaks', [...to, '--from', from, ...more]);
  return stdout;
}

function forge(from: string, subject: string, more: readonly string[] = []): Promise<string> {
  return swaks(from, ['--header', `Subject: ${subject}`, '--body', 'x', ...more]);
}

test('signed by opendkim and sent by Postfix: SPF, DKIM and DMARC pass, and it is told everywhere', async () => {
  const { detail, content } = await sendSigned('honest');
  const { spf, dkim, dmarc, arc, disposition } = detail.envelope.authentication ?? assert.fail('not judged');
  assert.deepEqual([spf.result, dmarc.result, dmarc.policy, dmarc.by, arc.result, disposition], ['pass', 'pass', 'reject', 'dkim', 'none', 'accepted']);
  assert.deepEqual(
    dkim.map((one) => [one.result, one.domain, one.selector]),
    [['pass', 'sender.test', 'mail']],
  );
  assert.match(
    content.replaceAll(/\r\n[\t ]+/g, ' '),
    /^Authentication-Results: mx\.local\.test; spf=pass smtp\.mailfrom=sender\.test; dkim=pass header\.d=sender\.test header\.s=mail .*dmarc=pass header\.from=sender\.test policy\.dmarc=reject\r$/m,
  );
  const shown = await postern.cli('message', 'show', detail.id);
  assert.match(shown.stdout, /^spf +pass for sender\.test \(MAIL FROM\): 127\.46\.0\.2 matches "ip4:127\.46\.0\.2"/m);
  assert.match(shown.stdout, /^dkim +pass for sender\.test, selector mail$/m);
  assert.match(shown.stdout, /^dmarc +pass by DKIM for sender\.test \(policy reject at sender\.test\)$/m);
});

test('forged from elsewhere: refused in the session, with cause and fix, kept nowhere', async () => {
  const transcript = await forge('joe@sender.test', 'forged');
  assert.match(transcript, /550-5\.7\.26 Email rejected per DMARC policy for sender\.test: neither SPF nor DKIM/);
  assert.match(transcript, /550 5\.7\.26 To mend it, sign the mail with DKIM as sender\.test/);
  const judged = await until('it is logged', () => postern.log().find((line) => line['event'] === 'message.judged' && line['disposition'] === 'rejected'));
  assert.deepEqual([judged['client'], judged['spf'], judged['dmarc'], judged['author']], [FORGER, 'fail', 'fail', 'sender.test']);
  assert.ok(!(await messages(postern, 'captured', 1)).some((one) => one.subject === 'forged'));
});

test('another sender in the envelope does not help, nor does a subdomain that does not exist', async () => {
  assert.match(await forge('joe@open.test', 'other envelope', ['--h-From', 'Joe <joe@sender.test>']), /550-5\.7\.26 .*what authenticates|550-5\.7\.26 .*neither/);
  assert.match(
    await forge('joe@open.test', 'subdomain', ['--h-From', 'Joe <joe@accounts.sender.test>']),
    /550-5\.7\.26 Email rejected per DMARC policy for accounts\.sender\.test/,
  );
  assert.match(
    await forge('joe@open.test', 'two', ['--header', 'From: Joe <joe@open.test>', '--add-header', 'From: Joe <joe@sender.test>']),
    /550 5\.7\.1 Refused: the message has 2 From fields/,
  );
});

test('a signed message passed on from elsewhere still passes by DKIM; changed on the way it does not', async () => {
  const { content } = await sendSigned('passed on');
  const original = content.slice(content.indexOf('DKIM-Signature:'));
  const file = join(tempDir('fw'), 'm.eml');
  const pass = (text: string): Promise<string> => {
    writeFileSync(file, text, 'latin1');
    return swaks('joe@sender.test', ['--data', `@${file}`]);
  };
  assert.match(await pass(original), /250 2\.6\.0/);
  assert.match(await pass(original.replace('Hello there', 'Hello thief')), /550-5\.7\.26/);
});

test('quarantine: taken, with a tag that a forger can neither bring nor keep away', async () => {
  const transcript = await forge('joe@quarantine.test', 'suspicious', [
    '--add-header',
    'X-Postern-Quarantine: none',
    '--add-header',
    'Authentication-Results: MX.local.test; dmarc=pass',
  ]);
  assert.match(transcript, /250 2\.6\.0/);
  const { content, detail } = await captured('suspicious');
  assert.equal(detail.envelope.authentication?.disposition, 'quarantined');
  assert.match(content, /^X-Postern-Quarantine: dmarc=fail; policy=quarantine; /m);
  assert.equal(content.match(/^X-Postern-Quarantine:/gm)?.length, 1);
  assert.equal(content.match(/^Authentication-Results:/gim)?.length, 1);
  assert.match(await forge('joe@tried.test', 'tried'), /250 2\.6\.0/);
  const tried = await captured('tried');
  assert.match(tried.content, /^X-Postern-Quarantine: dmarc=fail; policy=quarantine; /m);
});

test('p=none and broken SPF records are told, not acted on', async () => {
  assert.match(await forge('joe@open.test', 'nothing asked'), /250 2\.6\.0/);
  const open = await captured('nothing asked');
  assert.deepEqual([open.detail.envelope.authentication?.dmarc.result, open.detail.envelope.authentication?.spf.result], ['fail', 'neutral']);
  assert.match(await forge('joe@many.test', 'too many'), /250 2\.6\.0/);
  const many = await captured('too many');
  assert.equal(many.detail.envelope.authentication?.spf.result, 'permerror');
  assert.match(many.detail.envelope.authentication?.spf.reason ?? '', /more than 10 look-ups/);
});

test('300 MB, signed: judged while it passes, and never held', async (t) => {
  const rss = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${postern.pid}/status`, 'utf8'))?.[1]) / 1024;
  const block = Buffer.from(`${'some  words and a tab\there, '.repeat(2)} \r\n`.repeat(1000));
  const blocks = Math.ceil(300_000_000 / block.length);
  const hash = new BodyHash('relaxed');
  for (let i = 0; i < blocks; i++) hash.update(block);
  const unsigned = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=sender.test; s=own; h=from:subject; bh=${hash.digest().toString('base64')}; b=\r\n`;
  const input = 'from:joe@sender.test\r\nsubject:large\r\n';
  const signature = computeSignature('rsa-sha256', own.privateKey, input + canonicalField(unsigned, 'relaxed').slice(0, -2));
  const head = Buffer.from(`${unsigned.trimEnd()}${signature}\r\nFrom: joe@sender.test\r\nSubject: large\r\n\r\n`);
  const client = await connectTo(postern.port('mx'));
  const base = rss();
  let peak = base;
  const timer = setInterval(() => (peak = Math.max(peak, rss())), 20);
  const sizeBytes = head.length + blocks * block.length;
  const envelope = { from: null, sizeBytes, eightBit: false, smtpUtf8: false, requireTls: false, ret: null, envid: null } as const;
  const to = parseMailbox('box@local.test') ?? assert.fail();
  const result = await client.transact(
    { ...envelope, recipients: [{ address: to, notify: null, orcpt: null }] },
    (function* () {
      yield head;
      for (let i = 0; i < blocks; i++) yield block;
    })(),
  );
  clearInterval(timer);
  assert.ok('replies' in result && result.replies[0]?.accepted, JSON.stringify(result));
  await client.quit();
  const row = await until('it is captured', async () => (await messages(postern, 'captured', 1)).find((one) => one.subject === 'large'), 60_000);
  const { envelope: kept } = await postern.json<Detail>('message', 'show', row.id);
  assert.deepEqual(
    kept.authentication?.dkim.map((one) => [one.result, one.reason]),
    [['pass', '']],
  );
  t.diagnostic(`memory grew by ${(peak - base).toFixed(0)} MB`);
  assert.ok(peak - base < 150, `${peak - base} MB`);
});

test('it is counted', async () => {
  const text = await (await fetch(`${postern.http}/metrics`)).text();
  for (const series of [
    'authentication_total{method="dkim",result="pass"}',
    'authentication_total{method="dmarc",result="fail"}',
    'dispositions_total{disposition="rejected"}',
    'dispositions_total{disposition="quarantined"}',
  ]) {
    assert.match(text, new RegExp(`^postern_${series.replace(/[{}]/g, '\\$&')} [1-9]`, 'm'));
  }
});

test('without a DNS mail is taken, and told as not judged for now', async () => {
  await dns.unbound.end('SIGKILL');
  assert.match(await forge('joe@later.test', 'no DNS'), /250 2\.6\.0/);
  const { detail } = await captured('no DNS');
  assert.deepEqual([detail.envelope.authentication?.spf.result, detail.envelope.authentication?.dmarc.result], ['temperror', 'temperror']);
});
