// `domain check` and `domain rotate` against a real DNS: Knot as the responsible server, Unbound as the resolver, one zone a case.
// Needs: root, knot, unbound

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { openApi } from '#cli/api.ts';
import { recordsZone } from '#cli/domain/records.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { messages, startPostern } from '../support/postern.ts';
import type { Credential, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import type { Receiver } from '../support/receiver.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { until } from '../support/temp.ts';
import { BOTH_PASS, mailauthSays } from '../support/verifiers.ts';

type Row = { readonly type: string; readonly name: string; readonly value: string; readonly purpose: string; readonly status: string };
type Found = Row & { readonly found: readonly string[]; readonly cause: string | null; readonly fix: string | null; readonly notes: readonly string[] };

/** What is done to the zone that was printed, and what the check has to say. */
type Case = {
  readonly change: (zone: string) => string;
  readonly record: string;
  readonly status: string;
  readonly says: RegExp;
};

const RESOLVER = '127.38.0.53';
const AUTHORITY = '127.38.0.1';
const MX = '127.38.0.2';
const HOST = 'relay.host.test';

const CASES: Readonly<Record<string, Case>> = {
  'dkim-missing': { change: (zone) => without(zone, /r\._domainkey/), record: 'dkim-rsa', status: 'missing', says: /no record.*DMARC has only SPF left/ },
  'dkim-other': {
    change: (zone) => zone.replace(/k=ed25519; p=[^"]+/, 'k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo='),
    record: 'dkim-ed25519',
    status: 'wrong',
    says: /another key/,
  },
  'dkim-cut': { change: (zone) => zone.replace(/(k=ed25519; p=.{20})[^"]+/, '$1'), record: 'dkim-ed25519', status: 'wrong', says: /cannot be read|cut when it was pasted/ },
  'dkim-revoked': { change: (zone) => zone.replace(/k=ed25519; p=[^"]+/, 'k=ed25519; p='), record: 'dkim-ed25519', status: 'wrong', says: /revoked/ },
  'dkim-quoted': { change: (zone) => zone.replace(/"(v=DKIM1; k=ed25519; p=[^"]+)"/, '"\\"$1\\""'), record: 'dkim-ed25519', status: 'wrong', says: /quotes/ },
  'dkim-twice': {
    change: (zone) => `${zone}\n${ofKey(zone)} TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`,
    record: 'dkim-ed25519',
    status: 'wrong',
    says: /2 keys at one name/,
  },
  'spf-missing': { change: (zone) => without(zone, /^spf-missing\.test\. .*spf1/), record: 'spf', status: 'missing', says: /no SPF record/ },
  'spf-twice': {
    change: (zone) => `${zone}\n@ TXT "v=spf1 include:one.host.test -all"`,
    record: 'spf',
    status: 'wrong',
    says: /2 SPF records[^]*Make one of them: "v=spf1 a:relay\.host\.test include:one\.host\.test -all"/,
  },
  'spf-long': {
    change: (zone) => zone.replace(`"v=spf1 a:${HOST} ~all"`, '"v=spf1 include:many.host.test ~all"'),
    record: 'spf',
    status: 'wrong',
    says: /takes 12 look-ups[^]*The chain:\ninclude:many\.host\.test\n {2}a:x1\.host\.test/,
  },
  'spf-voids': {
    change: (zone) => zone.replace(`"v=spf1 a:${HOST} ~all"`, `"v=spf1 a:${HOST} a:g1.host.test a:g2.host.test mx:g3.host.test ~all"`),
    record: 'spf',
    status: 'wrong',
    says: /3 of its look-ups find nothing/,
  },
  'spf-other': {
    change: (zone) => zone.replace(`"v=spf1 a:${HOST} ~all"`, '"v=spf1 ip4:192.0.2.1 -all"'),
    record: 'spf',
    status: 'wrong',
    says: /does not allow this server \(relay\.host\.test, 127\.38\.0\.2\): the result is fail[^]*"v=spf1 a:relay\.host\.test ip4:192\.0\.2\.1 -all"/,
  },
  'spf-syntax': { change: (zone) => zone.replace(`"v=spf1 a:${HOST} ~all"`, '"v=spf1 ipv4:192.0.2.1 -all"'), record: 'spf', status: 'wrong', says: /not valid.*ipv4/ },
  'dmarc-missing': { change: (zone) => without(zone, /^_dmarc/), record: 'dmarc', status: 'missing', says: /no record/ },
  'dmarc-twice': { change: (zone) => `${zone}\n_dmarc TXT "v=DMARC1; p=reject"`, record: 'dmarc', status: 'wrong', says: /2 DMARC records/ },
  'dmarc-strict': { change: (zone) => zone.replace('v=DMARC1; p=none;', 'v=DMARC1; p=reject; aspf=s;'), record: 'dmarc', status: 'right', says: /aspf=s.*DKIM alone/ },
  'return-mx': {
    change: (zone) => zone.replace(/^(bounce\S+ 3600 IN MX) .*$/m, '$1 10 mail.host.test.'),
    record: 'return-path',
    status: 'wrong',
    says: /names mail\.host\.test, not this server/,
  },
  'server-silent': { change: (zone) => `${zone}\n@ NS ns2\nns2 A 127.38.0.99`, record: 'spf', status: 'right', says: /ns2\.server-silent\.test \[127\.38\.0\.99\] did not answer/ },
  'key-elsewhere': {
    change: (zone) => zone.replace(/^(\S+e\._domainkey\S+) 3600 IN TXT (.*)$/m, '$1 3600 IN CNAME key.host.test.'),
    record: 'dkim-ed25519',
    status: 'wrong',
    says: /another key/,
  },
};

function without(zone: string, line: RegExp): string {
  return zone
    .split('\n')
    .filter((one) => !line.test(one))
    .join('\n');
}

function ofKey(zone: string): string {
  return /^(\S+e\._domainkey\S+)/m.exec(zone)?.[1] ?? '';
}

let postern: Postern;
let dns: Dns;
let mx: Receiver;
let app: Credential;
const zones: Record<string, string> = {};

before(async () => {
  mx = await startReceiver({ address: MX });
  postern = await startPostern({
    hostname: HOST,
    config: `[dns]\nservers = ["${RESOLVER}"]\n[delivery]\nmx_port = ${mx.port}\nallow_private_addresses = true\n`,
  });
  app = await postern.credential('app', '--live');
  const api = openApi({ dataDir: postern.dataDir });
  for (const name of ['fine.test', 'turns.test', 'stale.test', 'absent.test', ...Object.keys(CASES).map((one) => `${one}.test`)]) {
    zones[name] = recordsZone((await api.addDomain({ name, inbound: name === 'fine.test' })).records);
  }
  const many = Array.from({ length: 11 }, (_, i) => `x${i + 1} A 192.0.2.${i + 1}`).join('\n');
  const terms = Array.from({ length: 11 }, (_, i) => `a:x${i + 1}.host.test`).join(' ');
  const { 'absent.test': _absent, ...published } = zones;
  dns = await startDns(
    {
      ...Object.fromEntries(Object.entries(published).map(([name, zone]) => [name, CASES[name.replace('.test', '')]?.change(zone) ?? zone])),
      'host.test': `relay A ${MX}\nmail A 192.0.2.9\none TXT "v=spf1 ip4:192.0.2.1 -all"\nmany TXT "v=spf1 ${terms} -all"\n${many}\nkey TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="`,
      'to.test': `@ MX 10 mx\nmx A ${MX}`,
      // So that nothing under it is asked of the world.
      test: '',
    },
    { address: RESOLVER, port: 53, authority: AUTHORITY },
  );
});

async function check(name: string): Promise<{ code: number | null; rows: readonly Found[] }> {
  const { code, stdout, stderr } = await postern.cli('--json', 'domain', 'check', name);
  assert.ok(code === 0 || code === 1, stderr);
  return { code, rows: JSON.parse(stdout) as Found[] };
}

test('a domain whose records are as printed is right in every one, and then its return path is used', async () => {
  const before = await postern.json<{ name: string; status: string; returnPathVerifiedAt: string | null }[]>('domain', 'list');
  assert.deepEqual(before.find((domain) => domain.name === 'fine.test')?.status, 'unchecked');
  const { code, rows } = await check('fine.test');
  assert.deepEqual(
    rows.filter((row) => row.status !== 'right'),
    [],
  );
  assert.equal(code, 0);
  assert.equal(rows.length, 10);
  const [row] = rows;
  assert.deepEqual(Object.keys(row ?? {}), ['type', 'name', 'value', 'purpose', 'status', 'found', 'cause', 'fix', 'notes']);
  const after = await postern.json<{ name: string; status: string; returnPathVerifiedAt: string | null }[]>('domain', 'list');
  const fine = after.find((domain) => domain.name === 'fine.test');
  assert.equal(fine?.status, 'verified');
  assert.ok(fine.returnPathVerifiedAt !== null);
  assert.ok((await postern.json<Row[]>('domain', 'show', 'fine.test')).every((record) => record.status === 'right'));
  const text = await postern.cli('domain', 'check', 'fine.test');
  assert.match(
    text.stdout,
    /passes DMARC: aligned by DKIM \(d=fine\.test, s=p\d{8}r, p\d{8}e\), aligned by SPF \(bounce\.fine\.test\)\. All records are right: the domain can go live\./,
  );
});

for (const [name, { record, status, says }] of Object.entries(CASES)) {
  test(`${name}: ${record} is ${status}, and the check says why`, async () => {
    const { code, rows } = await check(`${name}.test`);
    const own = rows.filter((row) => row.purpose === record);
    const found = own.find((row) => row.status === status && says.test(`${row.cause} ${row.fix} ${row.notes.join('\n')}`));
    assert.ok(found, JSON.stringify(own, null, 1));
    assert.equal(code, status === 'right' ? 0 : 1);
    if (status === 'right') return;
    assert.ok(found.cause !== null && found.fix !== null);
    if (record !== 'spf') {
      const others = rows.filter((row) => row.purpose !== record);
      assert.deepEqual(
        others.filter((row) => row.status !== 'right'),
        [],
      );
    }
  });
}

test('a zone that is not there: every record is missing or unknown, the exit code 1, and nothing is used', async () => {
  const { code, rows } = await check('absent.test');
  assert.equal(code, 1);
  assert.ok(
    rows.every((row) => row.status === 'missing' || row.status === 'unknown'),
    JSON.stringify(rows),
  );
  const text = await postern.cli('domain', 'check', 'absent.test');
  assert.equal(text.code, 1);
  assert.match(text.stdout, /does not pass DMARC/);
});

test('what the resolver still has from before is told with the time it has left', async () => {
  await check('stale.test');
  await dns.setZone('stale.test', (zones['stale.test'] ?? '').replace('p=none', 'p=reject'));
  const { rows } = await check('stale.test');
  const dmarc = rows.find((row) => row.purpose === 'dmarc');
  assert.deepEqual([dmarc?.status, dmarc?.found], ['right', ['v=DMARC1; p=reject; rua=mailto:postmaster@stale.test']]);
  assert.match(dmarc?.notes.join('\n') ?? '', /The resolver 127\.38\.0\.53 still has what was there before, for up to \d+ (?:minutes|seconds|hours) more: "v=DMARC1; p=none/);
});

async function send(name: string): Promise<Buffer> {
  const client = await connectTo(postern.port('submission'), { credential: app });
  await accepted(client, { from: 'a@turns.test', to: [`${name}@to.test`], content: 'From: a@turns.test\r\nSubject: x\r\n\r\nx\r\n' });
  await client.quit();
  return (await until(`${name} arrives`, () => mx.received.find((received) => received.to[0] === `${name}@to.test`))).content;
}

function selectors(content: Buffer): string {
  return [...content.toString('latin1').matchAll(/; s=([^;]+);/g)].map((match) => match[1]).join(' ');
}

type Keys = { readonly selector: string; readonly state: string }[];

test('rotation: new keys are printed, used once the DNS shows them, and no signature ever fails', async () => {
  const first = await send('one');
  assert.equal(await mailauthSays(first, RESOLVER), BOTH_PASS);

  const started = await postern.json<Row[]>('domain', 'rotate', 'turns.test');
  assert.equal(started.length, 4, 'the old two and the new two');
  const old = selectors(first).split(' ');
  const fresh = started.map((row) => row.name.split('.')[0] ?? '').filter((selector) => !old.includes(selector));
  assert.equal(fresh.length, 2);
  assert.equal((await postern.cli('domain', 'rotate', 'turns.test')).code, 1, 'one rotation at a time');

  const early = await check('turns.test');
  assert.equal(early.code, 1);
  assert.deepEqual(
    early.rows.filter((row) => row.status === 'missing').map((row) => row.name.split('.')[0]),
    fresh,
  );
  assert.match((await postern.cli('domain', 'check', 'turns.test')).stdout, /passes DMARC: aligned by DKIM[^]*2 of 8 records are not right/, 'keys to come take nothing away');
  const second = await send('two');
  assert.equal(selectors(second), selectors(first), 'not published, not used');
  assert.equal(await mailauthSays(second, RESOLVER), BOTH_PASS);

  await dns.setZone('turns.test', (await postern.cli('domain', 'show', 'turns.test', '--zone')).stdout);
  const used = await until('the DNS shows them to the resolver too', async () => {
    const { code, rows } = await check('turns.test');
    assert.ok(rows.length > 0);
    const keys = await keysOf('turns.test');
    return code === 0 && keys.filter((key) => key.state === 'active').every((key) => fresh.includes(key.selector)) ? keys : null;
  });
  assert.deepEqual(
    used
      .filter((key) => key.state === 'retiring')
      .map((key) => key.selector)
      .toSorted(),
    old.toSorted(),
  );
  const third = await send('three');
  assert.deepEqual(selectors(third).split(' ').toSorted(), fresh.toSorted());
  for (const content of [first, second, third]) assert.equal(await mailauthSays(content, RESOLVER), BOTH_PASS);
  assert.equal(
    (await postern.json<Row[]>('domain', 'show', 'turns.test')).filter((row) => row.purpose.startsWith('dkim')).length,
    4,
    'the old records stay while mail of theirs is on the way',
  );
  assert.match((await postern.cli('domain', 'show', 'turns.test')).stdout, /signs no more; leave its record until \d{4}-/);
});

test('a rotation may be called off, or confirmed by the operator', async () => {
  const count = async (state: string): Promise<number> => (await keysOf('stale.test')).filter((key) => key.state === state).length;
  assert.equal((await postern.cli('domain', 'rotate', 'stale.test', '--confirm')).code, 1, 'there is nothing to confirm');
  await postern.json('domain', 'rotate', 'stale.test');
  assert.equal(await count('next'), 2);
  await postern.json('domain', 'rotate', 'stale.test', '--cancel');
  assert.equal(await count('next'), 0);
  const again = await postern.json<Row[]>('domain', 'rotate', 'stale.test');
  assert.ok(
    again.some((row) => row.name.includes('-3')),
    'selectors of a rotation that was called off do not come back',
  );
  await postern.json('domain', 'rotate', 'stale.test', '--confirm');
  assert.deepEqual([await count('next'), await count('active'), await count('retiring')], [0, 2, 2]);
});

async function keysOf(name: string): Promise<Keys> {
  const { stdout } = await postern.cli('domain', 'show', name);
  return [...stdout.matchAll(/^(?:keys)? +(p\d{8}\S*) +\S+ +(new|signs no more|signs)/gm)].map((match) => ({
    selector: match[1] ?? '',
    state: match[2] === 'new' ? 'next' : match[2] === 'signs' ? 'active' : 'retiring',
  }));
}

test('a live credential for a domain that is not right yet is made, with a word of warning', async () => {
  const warned = await postern.cli('credential', 'add', 'early', '--domain', 'dkim-missing.test', '--live');
  assert.equal(warned.code, 0);
  assert.match(warned.stderr, /DNS records of dkim-missing\.test are not verified/);
  const quiet = await postern.cli('credential', 'add', 'ready', '--domain', 'fine.test', '--live');
  assert.doesNotMatch(quiet.stderr, /not verified/);
  const foreign = await postern.cli('credential', 'add', 'foreign', '--domain', 'unknown.test', '--live');
  assert.equal(foreign.code, 0);
  assert.match(foreign.stderr, /no signing keys here/);
  assert.ok((await messages(postern, 'delivered', 3)).length >= 3);
});
