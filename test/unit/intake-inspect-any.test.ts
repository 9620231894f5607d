// The judgement for any message and any DNS: there is always a verdict, what it writes is a header, and portions change nothing.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '#base/clock.ts';
import { silentLog } from '#base/log.ts';
import { openInspector } from '#intake/inspect.ts';
import type { Inspected } from '#intake/inspect.ts';
import { ownPen } from '#mail/dkim/pen.ts';
import { parseHeaders } from '#mail/headers.ts';
import { parseMailbox } from '#smtp/address.ts';
import { authorOf } from '../support/author.ts';
import { zoneResolver } from '../support/zone.ts';
import type { ZoneRecord } from '../support/zone.ts';

const SIGNATURE = 'a=rsa-sha256; c=relaxed/simple; d=a.example; s=k; h=from:subject; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=AAAA';
/** What such headers are made of, right and wrong. */
const FIELDS = [
  'From: undisclosed:;',
  'From: <@@>',
  'Subject: x',
  'To: joe@c.example',
  `dkim-signature : v=1; ${SIGNATURE}`,
  'Subject: =?utf-8?q?=C3=A4?=',
  `DKIM-Signature: v=1; ${SIGNATURE}`,
  `DKIM-Signature: v=1; l=0; x=1; t=2; i=@d.a.example; ${SIGNATURE}`,
  `DKIM-Signature: v=1;; =;${SIGNATURE}`,
  'DKIM-Signature:',
  'ARC-Authentication-Results: i=1; a.example; dmarc=pass',
  `ARC-Message-Signature: i=1; ${SIGNATURE}`,
  'ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.example; s=k; b=AAAA',
  'ARC-Seal: i=2; a=rsa-sha256; cv=pass; d=a.example; s=k; b=AAAA',
  'ARC-Seal: i=99999999999999999999; cv=',
  'Authentication-Results: relay.example.net; spf=pass',
  'Authentication-Results: (relay.example.net; \\',
  'no colon in it',
  ' folded: x',
] as const;
const SPF = [
  'v=spf1 -all',
  'v=spf1 ip4:192.0.2.7 -all exp=c.example',
  'v=spf1 include:a.example redirect=b.a.example exp=c.example',
  'v=spf1 exists:%{ir}.%{l1r+-}._spf.%{d2} a/24//64 mx ptr ip4:198.51.100.0/24 ip6:2001:db8::/32 ?all',
  'v=spf1 %{',
  'not allowed: %{i} %{S} %{c} %{t}',
];
const DMARC = ['v=DMARC1; p=reject', 'v=DMARC1; p=reject; sp=none; np=quarantine; psd=y; pct=0; t=y', 'v=DMARC1; p=quarantine; adkim=s; aspf=s; psd=n', 'v=DMARC1; p='];
const KEYS = ['v=DKIM1; k=rsa; p=AAAA', 'v=DKIM1; k=ed25519; p=AAAA', 'v=DKIM1; p=', 'p=AAAA; v=DKIM1; t=y:s; s=web'];
const ZONE: Readonly<Record<string, readonly string[]>> = {
  'a.example': SPF,
  'b.a.example': SPF,
  'c.example': SPF,
  '_dmarc.a.example': DMARC,
  '_dmarc.example': DMARC,
  '_dmarc.c.example': DMARC,
  'k._domainkey.a.example': KEYS,
};

const noise = fc.string({ unit: 'binary', maxLength: 40 });
const records = (texts: readonly string[]): fc.Arbitrary<ZoneRecord[]> => {
  const text = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...texts) }, { weight: 1, arbitrary: noise });
  const record = fc.oneof({ weight: 9, arbitrary: text.map((TXT): ZoneRecord => ({ TXT })) }, { weight: 1, arbitrary: fc.constant<ZoneRecord>('TIMEOUT') });
  return fc.oneof({ weight: 4, arbitrary: record.map((one) => [one]) }, { weight: 1, arbitrary: fc.array(record, { maxLength: 2 }) });
};
const zones = fc.record(Object.fromEntries(Object.entries(ZONE).map(([name, texts]) => [name, records(texts)])));
const fields = fc.array(
  fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...FIELDS) }, { weight: 1, arbitrary: fc.tuple(fc.constantFrom(...FIELDS), noise).map(([field, more]) => field + more) }),
  { maxLength: 8 },
);
const froms = fc.constantFrom('From: me@a.example', 'From: me@a.example', 'From: me@b.a.example', 'From: "Me, myself" <me@b.a.example>, you@c.example', 'X: x');
const contents = fc.tuple(froms, fields, noise).map(([from, others, body]) => `${[from, ...others].map((line) => `${line.replaceAll(/[\r\n]/g, '')}\r\n`).join('')}\r\n${body}`);
const senders = fc.oneof(fc.constant(null), fc.constantFrom('me@a.example', '"a b"@c.example', 'x@b.a.example').map(parseMailbox));

type Given = { readonly zone: Readonly<Record<string, readonly ZoneRecord[]>>; readonly content: string; readonly from: ReturnType<typeof parseMailbox>; readonly helo: string };

async function judge({ zone, content, from, helo }: Given, portion: number): Promise<Inspected> {
  const inspector = openInspector({
    hostname: 'relay.example.net',
    resolver: zoneResolver(zone),
    clock: { ...systemClock, nowMs: () => 1_795_500_000_000 },
    settings: () => ({ dmarc: 'reject', dnsTimeoutMs: 60_000, trustedSealers: ['a.example'] }),
    isTrusted: () => false,
    pen: ownPen,
    log: silentLog,
  });
  const to = parseMailbox('box@local.example');
  assert.ok(to);
  const inspection = inspector.begin({ clientAddress: '192.0.2.7', helo, from, recipients: [to] });
  const bytes = Buffer.from(content);
  const head = parseHeaders(bytes);
  inspection.header(bytes.subarray(0, head.endOffset), head.fields, authorOf(head.fields));
  for (let at = head.endOffset; at < bytes.length; at += portion) inspection.body(bytes.subarray(at, at + portion));
  return inspection.finish();
}

describe('the judgement for whatever comes', () => {
  it('ends in a verdict, and portions change nothing', async () => {
    await fc.assert(
      fc.asyncProperty(fc.record({ zone: zones, content: contents, from: senders, helo: fc.oneof(fc.constantFrom('a.example', '[192.0.2.7]', ''), noise) }), async (given) => {
        const whole = await judge(given, 1 << 20);
        assert.deepEqual(await judge(given, 3), whole);
        assert.ok(whole.authentication);
        // Nothing of it can begin a field, or a line, of somebody else's making.
        const written = parseHeaders(Buffer.from(`${whole.fields}\r\n`));
        assert.match(whole.fields, /^[\x20-\x7e\t\r\n]+$/);
        assert.ok(!/\r(?!\n)|(?<!\r)\n/.test(whole.fields));
        assert.deepEqual(
          written.fields.map((field) => field.name).filter((name) => name !== 'authentication-results' && name !== 'x-postern-quarantine'),
          [],
        );
        for (const line of whole.refusal?.lines ?? []) assert.match(line, /^[\x20-\x7e]{1,400}$/);
      }),
      { numRuns: 2000 },
    );
  });
});
