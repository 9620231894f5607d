// The judgement on mail by port 25: what the verdicts lead to, as a table; then the inspector itself, with a DNS that answers, lies and stalls.

import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Cancel, Clock } from '#base/clock.ts';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import type { Log } from '#base/log.ts';
import { boundResolver } from '#dns/bounded.ts';
import type { Resolver } from '#dns/resolver.ts';
import { dispositionOf } from '#intake/disposition.ts';
import type { Circumstances, DmarcMode } from '#intake/disposition.ts';
import { isForged, openInspector } from '#intake/inspect.ts';
import type { Inspected, Inspector } from '#intake/inspect.ts';
import type { ArcVerdict } from '#mail/arc/verify.ts';
import type { DmarcVerdict } from '#mail/dmarc/evaluate.ts';
import { BodyHash } from '#mail/dkim/canonical.ts';
import { ownPen } from '#mail/dkim/pen.ts';
import type { Pen } from '#mail/dkim/pen.ts';
import { signMessage } from '#mail/dkim/signer.ts';
import type { SigningKey } from '#mail/dkim/signer.ts';
import { parseHeaders } from '#mail/headers.ts';
import { parseMailbox } from '#smtp/address.ts';
import type { Address } from '#smtp/address.ts';
import { authorOf } from '../support/author.ts';
import { zoneResolver } from '../support/zone.ts';
import type { Zone } from '../support/zone.ts';

const NO_ARC: ArcVerdict = { result: 'none', instance: 0, sealers: [], claimed: null, temporary: false, reason: '' };
const SEALED: ArcVerdict = {
  result: 'pass',
  instance: 1,
  sealers: ['lists.example'],
  claimed: 'i=1; lists.example; spf=pass; dmarc=pass header.from=example.com',
  temporary: false,
  reason: '',
};

function address(text: string): Address {
  const parsed = parseMailbox(text);
  assert.ok(parsed, text);
  return parsed;
}

function of(result: DmarcVerdict['result'], policy: DmarcVerdict['policy'], more: Partial<Circumstances> = {}): Circumstances {
  const dmarc: DmarcVerdict = { result, domain: 'example.com', policyDomain: 'example.com', policy, testing: false, by: null, reason: 'because' };
  return { mode: 'reject', dmarc, arc: NO_ARC, list: null, trustedSealers: [], recipients: [address('a@local.example')], anonymous: false, proved: false, ...more };
}

describe('what the verdicts lead to', () => {
  const trusted = { arc: SEALED, trustedSealers: ['lists.example'] };
  const modes = (reject: string, quarantine: string, off = 'accepted'): Record<DmarcMode, string> => ({ reject, quarantine, off });
  const rows: readonly [string, Circumstances, Record<DmarcMode, string>][] = [
    ['pass', of('pass', 'reject'), modes('accepted', 'accepted')],
    ['no policy', of('none', null), modes('accepted', 'accepted')],
    ['fail, p=reject', of('fail', 'reject'), modes('rejected', 'quarantined')],
    ['fail, p=quarantine', of('fail', 'quarantine'), modes('quarantined', 'quarantined')],
    ['fail, p=none', of('fail', 'none'), modes('accepted', 'accepted')],
    ['fail, to postmaster only', of('fail', 'reject', { recipients: [address('Postmaster@local.example'), address('abuse@local.example')] }), modes('quarantined', 'quarantined')],
    ['fail, to postmaster and another', of('fail', 'reject', { recipients: [address('postmaster@local.example'), address('a@local.example')] }), modes('rejected', 'quarantined')],
    ['fail, sealed by a trusted host that saw it pass', of('fail', 'reject', trusted), modes('accepted', 'accepted')],
    ['fail, quarantine, sealed by a trusted host', of('fail', 'quarantine', trusted), modes('accepted', 'accepted')],
    ['fail, sealed by a host that nobody trusts', of('fail', 'reject', { arc: SEALED }), modes('rejected', 'quarantined')],
    ['fail, a trusted host saw it fail', of('fail', 'reject', { ...trusted, arc: { ...SEALED, claimed: 'i=1; lists.example; dmarc=fail' } }), modes('rejected', 'quarantined')],
    ['fail, the chain of a trusted host is broken', of('fail', 'reject', { ...trusted, arc: { ...SEALED, result: 'fail' } }), modes('rejected', 'quarantined')],
    [
      'fail, the newest seal is of another host',
      of('fail', 'reject', { ...trusted, arc: { ...SEALED, sealers: ['lists.example', 'evil.example'] } }),
      modes('rejected', 'quarantined'),
    ],
    ['fail, an answer to mail of ours', of('fail', 'reject', { proved: true }), modes('accepted', 'accepted')],
    ['fail, but the mailing list that it went through signed it', of('fail', 'reject', { list: 'lists.example' }), modes('quarantined', 'quarantined')],
    ['several authors', of('permerror', null), modes('rejected', 'quarantined')],
    ['no author', of('permerror', null, { anonymous: true }), modes('quarantined', 'quarantined')],
    ['policy reject, not decidable now', of('temperror', 'reject'), modes('deferred', 'accepted')],
    ['policy none, not decidable now', of('temperror', 'none'), modes('accepted', 'accepted')],
    ['policy not to be had', of('temperror', null), modes('accepted', 'accepted')],
  ];
  for (const [name, circumstances, expected] of rows) {
    it(name, () => {
      for (const mode of ['reject', 'quarantine', 'off'] as const) assert.equal(dispositionOf({ ...circumstances, mode }).what, expected[mode], mode);
    });
  }
});

describe('fields that pretend to be of this host', () => {
  for (const [value, forged] of [
    ['relay.example.net; spf=pass', true],
    ['RELAY.example.NET; spf=pass', true],
    ['relay.example.net 1; spf=pass', true],
    ['relay.example.net', true],
    ['(a (nested) comment) relay.example.net (more); spf=pass', true],
    ['"relay.example.net"; spf=pass', true],
    ['\r\n\trelay.example.net;\r\n\tspf=pass', true],
    ['relay.example.net.; spf=pass', true],
    ['relay.example.net/1; spf=pass', false],
    ['; relay.example.net; spf=pass', true],
    ['mx.example.net; spf=pass', false],
    ['not-relay.example.net; spf=pass', false],
    ['elsewhere.example; spf=pass smtp.helo=relay.example.net', false],
  ] as const) {
    it(JSON.stringify(value), () => {
      const [field] = parseHeaders(Buffer.from(`Authentication-Results: ${value}\r\n\r\n`)).fields;
      assert.ok(field);
      assert.equal(isForged('relay.example.net', field), forged);
    });
  }
  it('the tag of a quarantine', () => {
    const [field] = parseHeaders(Buffer.from('X-Postern-Quarantine: dmarc=pass\r\n\r\n')).fields;
    assert.ok(field && isForged('relay.example.net', field));
  });
});

type Given = {
  readonly zone: Zone;
  readonly content: string;
  readonly from?: string | null;
  readonly helo?: string;
  readonly client?: string;
  readonly dmarc?: DmarcMode;
  readonly inNameOf?: readonly string[];
  readonly sealAs?: SigningKey;
  readonly pen?: Pen;
  readonly log?: Log;
};

async function inspect(given: Given): Promise<Inspected> {
  return inspectBy(inspectorOf(given, zoneResolver(given.zone)), given);
}

function inspectorOf(given: Given, resolver: Resolver, clock = systemClock): Inspector {
  return openInspector({
    hostname: 'relay.example.net',
    resolver,
    clock,
    settings: () => ({ dmarc: given.dmarc ?? 'reject', dnsTimeoutMs: 5000, trustedSealers: [] }),
    isTrusted: () => false,
    pen: given.pen ?? ownPen,
    log: given.log ?? silentLog,
  });
}

function inspectBy(inspector: Inspector, given: Given): Promise<Inspected> {
  const from = given.from === undefined ? address('me@example.com') : given.from === null ? null : address(given.from);
  const inspection = inspector.begin({
    clientAddress: given.client ?? '192.0.2.7',
    helo: given.helo ?? 'client.example',
    from,
    recipients: [address('a@local.example')],
    inNameOf: given.inNameOf ?? [],
    sealAs: given.sealAs ?? null,
  });
  const bytes = Buffer.from(given.content);
  const { fields, endOffset } = parseHeaders(bytes);
  inspection.header(bytes.subarray(0, endOffset), fields, authorOf(fields));
  inspection.body(bytes.subarray(endOffset));
  return inspection.finish();
}

const REJECT: Zone = {
  'example.com': [{ TXT: 'v=spf1 ip4:192.0.2.7 -all exp=why.example.com' }],
  'why.example.com': [{ TXT: '%{i} may not send for %{d}' }],
  '_dmarc.example.com': [{ TXT: 'v=DMARC1; p=reject' }],
};
const MAIL = 'From: me@example.com\r\nSubject: x\r\n\r\nx\r\n';

describe('the inspector', () => {
  it('tells a refused sender why, and what its domain says', async () => {
    const { refusal, authentication } = await inspect({ zone: REJECT, content: MAIL, client: '203.0.113.5' });
    assert.deepEqual([refusal?.code, refusal?.enhanced], [550, '5.7.26']);
    assert.match(String(refusal?.lines), /neither SPF nor DKIM.*domain says: 203\.0\.113\.5 may not send for example\.com/s);
    assert.deepEqual([authentication?.spf.result, authentication?.dmarc.result, authentication?.disposition], ['fail', 'fail', 'rejected']);
  });

  it('tags with quarantine, reasons in both fields, lines not too long', async () => {
    const { refusal, fields } = await inspect({ zone: REJECT, content: MAIL, client: '203.0.113.5', dmarc: 'quarantine' });
    assert.equal(refusal, null);
    assert.match(fields, /^X-Postern-Quarantine: dmarc=fail; policy=reject; neither SPF/);
    assert.match(
      fields.replaceAll(/\r\n\t/g, ' '),
      /Authentication-Results: relay\.example\.net; spf=fail reason="203\.0\.113\.5 matches '-all' of example\.com" smtp\.mailfrom=example\.com; dkim=none; dmarc=fail /,
    );
    for (const line of fields.split('\r\n')) assert.ok(line.length <= 78, line);
  });

  it('a message that its mailing list signed is tagged, not refused; with a list of another name, or a list that did not sign, it is refused', async () => {
    const key = generateKeyPairSync('ed25519');
    const p = key.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('base64');
    const zone: Zone = { ...REJECT, 's._domainkey.lists.example': [{ TXT: `v=DKIM1; k=ed25519; p=${p}` }] };
    const body = 'x\r\n-- \r\nthe list\r\n';
    const hash = new BodyHash('relaxed');
    hash.update(Buffer.from(body));
    const bodyHash = hash.digest();
    const through = async (listId: string, signs: boolean): Promise<Inspected> => {
      const header = `List-Id: ${listId}\r\nFrom: me@example.com\r\nSubject: [list] x\r\n\r\n`;
      const signing: SigningKey = { domain: 'lists.example', selector: 's', algorithm: 'ed25519-sha256', privateKey: key.privateKey };
      const signature = await signMessage([signing], { header: Buffer.from(header), bodyHash, nowMs: Date.now(), lifetimeMs: 1e6 }, ownPen);
      return inspect({ zone, content: `${signs ? signature.toString() : ''}${header}${body}`, client: '203.0.113.5', from: 'list-bounces@lists.example' });
    };
    for (const listId of ['Talk <talk.lists.example>', '<lists.example>']) {
      const { refusal, authentication } = await through(listId, true);
      assert.deepEqual([refusal, authentication?.disposition], [null, 'quarantined'], listId);
      assert.match(authentication?.why ?? '', /the mailing list of lists\.example signed it/);
    }
    for (const [listId, signs] of [
      ['<talk.lists.example>', false],
      ['<talk.other.example>', true],
      ['<notlists.example>', true],
      ['lists.example', true],
    ] as const) {
      assert.equal((await through(listId, signs)).refusal?.enhanced, '5.7.26', listId);
    }
  });

  it('what would pass for an author of ours because it leaves in our name is told apart: only the author is forged, or the sender too', async () => {
    const none: Zone = { ...REJECT, '_dmarc.example.com': [{ TXT: 'v=DMARC1; p=none' }], 'eve.example': [{ TXT: 'v=spf1 +all' }] };
    const as = (given: Partial<Given>): Promise<Inspected> => inspect({ zone: none, content: MAIL, client: '203.0.113.5', inNameOf: ['example.com'], ...given });
    const author = await as({ from: 'eve@eve.example' });
    assert.deepEqual([author.refusal, author.ownSender, author.authentication?.disposition], [null, true, 'accepted']);
    const both = await as({});
    assert.deepEqual([both.refusal?.code, both.refusal?.enhanced, both.authentication?.disposition], [550, '5.7.26', 'rejected']);
    assert.match(String(both.refusal?.lines), /Not passed on: nothing proves that the message is from example\.com/);
    assert.equal((await as({ dmarc: 'off' })).refusal?.code, 550);
    // Not passed on, passed on in the name of others, proved, of an author elsewhere: as ever.
    assert.deepEqual([(await as({ inNameOf: [] })).refusal, (await as({ inNameOf: ['srs.example'] })).ownSender], [null, false]);
    assert.deepEqual([(await as({ client: '192.0.2.7' })).refusal, (await as({ client: '192.0.2.7' })).ownSender], [null, false]);
    assert.equal((await as({ from: 'eve@eve.example', content: 'From: x@eve.example\r\n\r\nx\r\n' })).ownSender, false);
    // A name below or above the author's is of the same organization.
    assert.equal((await as({ from: 'eve@eve.example', inNameOf: ['srs.example.com'] })).ownSender, true);
    // What cannot be found out now is found out later.
    const unknown = await as({ zone: { ...none, 'example.com': ['TIMEOUT'] } });
    assert.equal(unknown.refusal?.code, 451);
  });

  it('what leaves is sealed; when the key cannot sign it leaves without, and the log says so', async () => {
    const sealAs: SigningKey = { domain: 'local.example', selector: 's', algorithm: 'ed25519-sha256', privateKey: generateKeyPairSync('ed25519').privateKey };
    const sealed = await inspect({ zone: REJECT, content: MAIL, sealAs });
    assert.match(
      sealed.fields,
      /^ARC-Seal: i=1; .*d=local\.example;[^]*^ARC-Message-Signature: [^]*^ARC-Authentication-Results: i=1; relay\.example\.net;[^]*^Authentication-Results: /m,
    );
    const events: [string, unknown][] = [];
    const log: Log = { ...silentLog, warn: (event, fields) => events.push([event, fields]) };
    const pen: Pen = { sign: () => Promise.reject(new Error('no hands')) };
    const bare = await inspect({ zone: REJECT, content: MAIL, sealAs, pen, log });
    assert.deepEqual([bare.refusal, bare.authentication?.disposition], [null, 'accepted']);
    assert.match(bare.fields, /^Authentication-Results: /);
    assert.deepEqual(events, [['arc.not-sealed', { domain: 'local.example', selector: 's', cause: 'no hands' }]]);
    // A chain that came broken is nobody's to mend, and what is refused is not passed on.
    const broken = await inspect({ zone: REJECT, content: `ARC-Seal: i=1; a=rsa-sha256; cv=none; d=x.example; s=s; b=AAAA\r\n${MAIL}`, sealAs });
    assert.deepEqual([broken.authentication?.arc.result, broken.fields.includes('ARC-Seal')], ['fail', false]);
    assert.equal((await inspect({ zone: REJECT, content: MAIL, client: '203.0.113.5', sealAs })).fields.includes('ARC-Seal'), false);
  });

  it('a null sender is judged by the name of the client', async () => {
    const { authentication } = await inspect({ zone: REJECT, content: MAIL, from: null, helo: 'EXAMPLE.com' });
    assert.deepEqual([authentication?.spf.identity, authentication?.spf.result, authentication?.dmarc.result, authentication?.dmarc.by], ['helo', 'pass', 'pass', 'spf']);
    const literal = await inspect({ zone: REJECT, content: 'Subject: x\r\n\r\nx\r\n', from: null, helo: '[192.0.2.7]' });
    assert.deepEqual([literal.authentication?.spf.result, literal.refusal], ['none', null]);
  });

  it('two From fields are refused, none is tagged', async () => {
    const two = await inspect({ zone: REJECT, content: `From: eve@example.org\r\n${MAIL}` });
    assert.deepEqual([two.refusal?.code, two.refusal?.enhanced], [550, '5.7.1']);
    const none = await inspect({ zone: REJECT, content: 'Subject: x\r\n\r\nx\r\n' });
    assert.deepEqual([none.refusal, none.authentication?.disposition], [null, 'quarantined']);
  });

  it('a key that cannot be had while the policy is reject: try again', async () => {
    const bodyHash = createHash('sha256').update('x\r\n').digest('base64');
    const content = `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.com; s=key; h=from; bh=${bodyHash}; b=AAAA\r\n${MAIL}`;
    const { refusal, authentication } = await inspect({ zone: { ...REJECT, 'key._domainkey.example.com': ['TIMEOUT'] }, content, client: '203.0.113.5' });
    assert.equal(authentication?.dkim[0]?.result, 'temperror');
    assert.deepEqual([refusal?.code, refusal?.enhanced, authentication.disposition], [451, '4.7.0', 'deferred']);
  });

  it('a DNS that answers nothing costs nobody the mail', async () => {
    const { refusal, authentication } = await inspect({ zone: { 'example.com': ['TIMEOUT'], '_dmarc.example.com': ['TIMEOUT'] }, content: MAIL });
    assert.deepEqual([refusal, authentication?.spf.result, authentication?.dmarc.result, authentication?.disposition], [null, 'temperror', 'temperror', 'accepted']);
  });
});

describe('the bounds of a task on the DNS', () => {
  const never: Resolver = { ...zoneResolver({}), txt: () => new Promise(() => {}) };

  /** A clock whose timers the test fires. */
  function handClock(): { clock: Clock; fire(): void; armed(): number } {
    const timers = new Set<() => void>();
    const after = (_ms: number, run: () => void): Cancel => {
      timers.add(run);
      return () => void timers.delete(run);
    };
    return { clock: { ...systemClock, after }, fire: () => timers.forEach((run) => run()), armed: () => timers.size };
  }

  it('answers that the DNS did not when the time is over, and at once afterwards', async () => {
    const hand = handClock();
    const bounded = boundResolver(never, { clock: hand.clock, withinMs: 20_000, questions: 10 });
    const answer = bounded.txt('example.com');
    hand.fire();
    assert.deepEqual([(await answer).status, (await bounded.a('example.com')).status], ['failed', 'failed']);
  });

  it('asks no more than it may', async () => {
    const resolver = zoneResolver({});
    const bounded = boundResolver(resolver, { clock: systemClock, withinMs: 60_000, questions: 2 });
    const answers = await Promise.all(['a.example', 'b.example', 'c.example'].map((name) => bounded.txt(name)));
    assert.deepEqual(
      answers.map((answer) => answer.status),
      ['no-domain', 'no-domain', 'failed'],
    );
    assert.equal(resolver.asked.length, 2);
    bounded.end();
  });

  it('leaves no timer behind', () => {
    const hand = handClock();
    const bounded = boundResolver(never, { clock: hand.clock, withinMs: 20_000, questions: 10 });
    assert.equal(hand.armed(), 0, 'nothing was asked yet');
    void bounded.a('example.com');
    assert.equal(hand.armed(), 1);
    bounded.end();
    assert.equal(hand.armed(), 0);
  });
});

describe('what one message taught is kept for the next', () => {
  const content = MAIL;
  const counting = (zone: Zone, ttlSeconds: number): { resolver: Resolver; asked: string[]; zone: Zone } => {
    const asked: string[] = [];
    const at = { zone };
    const ask =
      <K extends 'a' | 'aaaa' | 'mx' | 'txt' | 'ptr'>(kind: K) =>
      async (name: string): Promise<Awaited<ReturnType<Resolver[K]>>> => {
        asked.push(name);
        const answer = await zoneResolver(at.zone)[kind](name);
        return (answer.status === 'failed' ? answer : { ...answer, ttlSeconds }) as Awaited<ReturnType<Resolver[K]>>;
      };
    const resolver = { ...zoneResolver(zone), a: ask('a'), aaaa: ask('aaaa'), mx: ask('mx'), txt: ask('txt'), ptr: ask('ptr') };
    return Object.assign(at, { resolver, asked });
  };
  const movable = (): { clock: Clock; pass(ms: number): void } => {
    let nowMs = systemClock.nowMs();
    return { clock: { ...systemClock, nowMs: () => nowMs }, pass: (ms) => void (nowMs += ms) };
  };
  const PLAIN: Zone = { 'example.com': [{ TXT: 'v=spf1 ip4:192.0.2.7 ~all' }], '_dmarc.example.com': [{ TXT: 'v=DMARC1; p=none' }] };
  const spfOf = ({ authentication }: Inspected): string | undefined => authentication?.spf.result;

  it('asks again only when the time to live is over, and then sees what changed', async () => {
    const dns = counting(PLAIN, 60);
    const time = movable();
    const given = { zone: PLAIN, content };
    const inspector = inspectorOf(given, dns.resolver, time.clock);
    assert.equal(spfOf(await inspectBy(inspector, given)), 'pass');
    assert.deepEqual(dns.asked.toSorted(), ['_dmarc.example.com', 'example.com']);
    dns.zone = { ...PLAIN, 'example.com': [{ TXT: 'v=spf1 ~all' }] };
    time.pass(59_000);
    assert.equal(spfOf(await inspectBy(inspector, { ...given, from: 'other@example.com' })), 'pass');
    assert.equal(dns.asked.length, 2);
    time.pass(2000);
    assert.equal(spfOf(await inspectBy(inspector, given)), 'softfail');
    assert.equal(dns.asked.length, 4);
  });

  it('another client, another HELO and another domain are judged for themselves', async () => {
    const zone: Zone = { ...PLAIN, 'example.com': [{ TXT: 'v=spf1 exists:%{h}.ok.example ip4:192.0.2.7 ~all' }], 'good.example.ok.example': [{ A: '127.0.0.2' }] };
    const dns = counting(zone, 60);
    const inspector = inspectorOf({ zone, content }, dns.resolver);
    const results = [];
    for (const [client, helo, from] of [
      ['192.0.2.7', 'bad.example', 'a@example.com'],
      ['192.0.2.8', 'bad.example', 'a@example.com'],
      ['192.0.2.8', 'good.example', 'a@example.com'],
      ['192.0.2.8', 'bad.example', 'a@example.com'],
      ['192.0.2.7', 'bad.example', 'a@nothing.example'],
    ] as const)
      results.push(spfOf(await inspectBy(inspector, { zone, content, client, helo, from })));
    assert.deepEqual(results, ['pass', 'softfail', 'pass', 'softfail', 'none']);
  });

  it('a record that asks for the sender itself is asked each time', async () => {
    const zone: Zone = { ...PLAIN, 'example.com': [{ TXT: 'v=spf1 exists:%{l}.ok.example -all' }], 'me.ok.example': [{ A: '127.0.0.2' }] };
    const inspector = inspectorOf({ zone, content }, counting(zone, 60).resolver);
    const results = [];
    for (const from of ['me@example.com', 'you@example.com', 'me@example.com']) results.push(spfOf(await inspectBy(inspector, { zone, content, from })));
    assert.deepEqual(results, ['pass', 'fail', 'pass']);
  });

  it('a DNS that failed is asked again at once', async () => {
    const dns = counting({ 'example.com': ['TIMEOUT'], '_dmarc.example.com': ['TIMEOUT'] }, 60);
    const inspector = inspectorOf({ zone: PLAIN, content }, dns.resolver);
    assert.equal(spfOf(await inspectBy(inspector, { zone: PLAIN, content })), 'temperror');
    dns.zone = PLAIN;
    assert.equal(spfOf(await inspectBy(inspector, { zone: PLAIN, content })), 'pass');
  });
});
