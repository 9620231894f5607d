// The doctor on domains in a real DNS: one that is right, and one for each thing that can be wrong.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, test } from 'node:test';
import type { Finding, Report } from '#doctor/report.ts';
import { makeAuthority } from '../support/authority.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { freePort } from '../support/temp.ts';

const authority = makeAuthority();
const ADDRESS = '127.0.0.90';
let postern: Postern;

const key = (bits: number): string => generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const txt = (text: string): string => `TXT ${(text.match(/.{1,250}/g) ?? []).map((part) => `"${part}"`).join(' ')}`;
const HOST = `mx A ${ADDRESS}`;

const ZONES: Readonly<Record<string, string>> = {
  'right.test': [
    '@ MX 10 mx',
    HOST,
    '@ TXT "v=spf1 mx include:_spf -all"'.replace('_spf', '_spf.right.test'),
    '_spf TXT "v=spf1 ip4:192.0.2.0/24 ?all"',
    `s1._domainkey ${txt(`v=DKIM1; k=rsa; p=${key(2048)}`)}`,
    '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:d@right.test"',
    '_smtp._tls TXT "v=TLSRPTv1; rua=mailto:t@right.test"',
  ].join('\n'),
  'bare.test': `@ MX 10 mx\n${HOST}`,
  'null.test': '@ MX 0 .\n@ TXT "v=spf1 -all"',
  'twice.test': `@ MX 10 mx\n${HOST}\n@ TXT "v=spf1 mx -all"\n@ TXT "v=spf1 a -all"\n_dmarc TXT "v=DMARC1; p=none"\n_dmarc TXT "v=DMARC1; p=reject"`,
  'long.test': `@ MX 10 mx\n${HOST}\n@ TXT "v=spf1 ${Array.from({ length: 11 }, (_, i) => `a:h${i}.long.test`).join(' ')} -all"\n${Array.from({ length: 11 }, (_, i) => `h${i} A 192.0.2.${i + 1}`).join('\n')}`,
  'circle.test': `@ MX 10 mx\n${HOST}\n@ TXT "v=spf1 include:a.circle.test -all"\na TXT "v=spf1 include:circle.test -all"`,
  'open.test': `@ MX 10 mx\n${HOST}\n@ TXT "v=spf1 +all"\n_dmarc TXT "v=DMARC1; p=none; rua=mailto:d@open.test"\nshort._domainkey ${txt(`v=DKIM1; p=${key(1024)}`)}\nbroken._domainkey TXT "v=DKIM1; p=!!!"`,
  'dead.test': '@ MX 10 gone\n@ TXT "v=spf1 -all"',
  'alias.test': `@ MX 10 alias\nalias CNAME mx\n${HOST}\n@ TXT "v=spf1 -all"\n_mta-sts TXT "v=STSv1; id=not valid"\n_smtp._tls TXT "v=TLSRPTv1; rua=ftp:x"`,
  // Walks up a name end here, not at the root.
  test: '',
  '0.0.127.in-addr.arpa': '90 PTR mx.right.test.\n91 PTR elsewhere.right.test.',
};

before(async () => {
  const { cert, key: privateKey } = authority.issue(['mx.right.test', 'mx.bare.test', 'mx.twice.test', 'mx.long.test', 'mx.circle.test', 'mx.open.test', 'alias.alias.test']);
  const receiver = await startReceiver({
    address: ADDRESS,
    tls: { cert, key: privateKey },
    reply: (line) => (/^RCPT TO:<.*example\.org/.test(line) ? '550 5.7.1 Relay not permitted' : /^(?:XPOSTERN|RCPT)/.test(line) ? '550 5.1.1 No' : undefined),
  });
  const dns = await startDns(ZONES);
  postern = await startPostern({ config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nca_file = "${authority.caFile}"\n` });
});

async function examine(domain: string, ...args: string[]): Promise<{ code: number | null; report: Report; find(id: string): Finding | undefined }> {
  const done = await postern.cli('--json', 'doctor', domain, '--timeout', '5', '--blocklist', 'none', ...args);
  const report = JSON.parse(done.stdout) as Report;
  return { code: done.code, report, find: (id) => report.checks.find((finding) => finding.id.startsWith(`${id}@`)) };
}

test('a domain that is right: every record named, no false alarm', async () => {
  const { code, report, find } = await examine('me@right.test', '--selector', 's1');
  const wrong = report.checks.filter((finding) => finding.status === 'fail' || finding.status === 'warn');
  assert.deepEqual(
    wrong.map(({ id, title, evidence }) => `${id}: ${title}: ${evidence}`).filter((line) => !line.startsWith('helo-name')),
    [],
  );
  assert.equal(code, 0);
  assert.equal(report.kind, 'domain');
  for (const id of ['mx', 'spf', 'dkim', 'dmarc', 'tlsrpt']) assert.equal(find(id)?.status, 'pass', id);
  assert.equal(find('ptr')?.status, 'pass');
  assert.match(find('spf')?.evidence ?? '', /2 of 10 look-ups/);
  assert.ok(report.checks.some((finding) => finding.id.startsWith('certificate-chain@mx.right.test') && finding.status === 'pass'));
});

test('the ports for programs at the mail hosts: not there is no fault, unsafe is one', async () => {
  const unsafe = await startReceiver({ address: ADDRESS, offers: ['AUTH PLAIN LOGIN'] });
  const closed = await freePort(ADDRESS);
  const { code, report } = await examine('right.test', '--selector', 's1', '--from-port-list', `25,${unsafe.port},${closed}`);
  const at = (port: number): string[] =>
    report.checks.filter((finding) => finding.port === port && finding.status !== 'pass').map(({ id, status }) => `${id.split('@')[0]} ${status}`);
  assert.deepEqual(at(closed), ['tcp skip']);
  assert.ok(at(unsafe.port).includes('auth-before-tls fail'), at(unsafe.port).join(', '));
  assert.equal(code, 1);
});

for (const [domain, id, status, title, args] of [
  ['bare.test', 'spf', 'fail', /no SPF record/, []],
  ['bare.test', 'dmarc', 'fail', /no DMARC record/, []],
  ['null.test', 'mx', 'pass', /takes no mail/, []],
  ['twice.test', 'spf', 'fail', /duplicate SPF/, []],
  ['twice.test', 'dmarc', 'fail', /duplicate DMARC/, []],
  ['long.test', 'spf', 'fail', /too many look-ups/, []],
  ['circle.test', 'spf', 'fail', /too many look-ups/, []],
  ['open.test', 'spf', 'fail', /allows everybody/, []],
  ['open.test', 'dmarc', 'warn', /only watches/, []],
  ['open.test', 'dkim', 'warn', /short is short/, ['--selector', 'short']],
  ['open.test', 'dkim', 'fail', /broken/, ['--selector', 'broken']],
  ['open.test', 'dkim', 'fail', /missing/, ['--selector', 'nothere']],
  ['dead.test', 'mx', 'fail', /no mail host/, []],
  ['alias.test', 'mx-2', 'warn', /alias/, []],
  ['alias.test', 'mta-sts', 'fail', /not valid/, []],
  ['alias.test', 'tlsrpt', 'fail', /not valid/, []],
  ['right.test', 'ptr', 'fail', /lead back/, ['--sending-address', '127.0.0.91']],
  ['right.test', 'ptr', 'fail', /no PTR/, ['--sending-address', '127.0.0.92']],
] as const) {
  test(`${domain}: ${id} says ${title.source}`, async () => {
    const { code, find } = await examine(domain, '--as', 'domain', ...args);
    const finding = find(id);
    assert.equal(finding?.status, status);
    assert.match(finding?.title ?? '', title);
    if (status !== 'pass') assert.ok(finding !== undefined && finding.cause.length > 10 && finding.fix.length > 10);
    if (status === 'fail') assert.equal(code, 1);
  });
}
