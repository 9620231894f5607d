// From events to spans, as data: what each event makes, what the last one of a message adds, and that no address leaves. Then how spans are written, which messages are
// sampled, what answers of a collector mean, and the file with its headers.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { Envelope, Outcome } from '#queue/records.ts';
import type { LoggedEvent } from '#store/event-log.ts';
import { judgeAnswer } from '#events/traces/answer.ts';
import { parseHeaders } from '#events/traces/headers.ts';
import { exportRequest } from '#events/traces/otlp.ts';
import type { Span } from '#events/traces/otlp.ts';
import { pauseMs } from '#events/traces/service.ts';
import { isSampled, spansOf, traceIdOf, withoutAddresses } from '#events/traces/span.ts';

type Change = LoggedEvent['changes'][number];

const ID = '0k7wq3v5mabcdefg';
const ACCEPTED = 1_700_000_000_000;
const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

const envelope: Envelope = {
  id: ID,
  from: { local: 'boss', domain: 'sender.test', text: 'boss@sender.test' },
  acceptedAtMs: ACCEPTED,
  expiresAtMs: ACCEPTED + 1e9,
  warnAtMs: null,
  sizeBytes: 1234,
  eightBit: false,
  smtpUtf8: false,
  requireTls: false,
  ret: null,
  envid: null,
  kind: 'mail',
  mode: 'live',
  origin: { profile: 'submission', clientAddress: '192.0.2.7', helo: 'laptop', tls: null, credential: 'app', project: 'shop' },
  subject: 'A secret subject',
  messageIdHeader: '<x@sender.test>',
};

const delivered: Outcome = {
  verdict: 'delivered',
  scope: 'recipient',
  code: 250,
  enhanced: '2.0.0',
  text: 'Ok, ann@b.test',
  class: 'delivered',
  cause: '',
  fix: '',
  route: 'mx',
  remoteHost: 'mx.b.test',
  remoteAddress: '192.0.2.25',
  remotePort: 25,
  tls: 'TLSv1.3 TLS_AES_256_GCM_SHA384 verified',
  security: {
    policy: 'dane',
    required: 'dane',
    why: '',
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    certificate: 'matched',
    verdict: '',
  },
  possibleDuplicate: false,
  startedAtMs: ACCEPTED + 100,
  durationMs: 50,
};
const bounced: Outcome = { ...delivered, verdict: 'bounced', code: 550, enhanced: '5.1.1', class: 'no-such-user', cause: 'There is no mailbox <ann@b.test>.' };
const deferred: Outcome = { ...delivered, verdict: 'deferred', code: 451, enhanced: '4.7.1', class: 'greylisted', cause: 'It wants to see it again.' };

/** The story of a message to these, up to its last change, which is the event. `later`: changes that were made when it is read. */
function event(to: readonly string[], story: readonly (readonly [Change['type'], number | null, Outcome | null])[], later: typeof story = []): LoggedEvent {
  const changes = [...story, ...later].map(([type, n, outcome], i): Change => ({
    seq: i + 10,
    atMs: ACCEPTED + 1000 * i,
    type,
    n,
    outcome,
    nextAtMs: type === 'deferred' ? ACCEPTED + 60_000 : null,
  }));
  const last = changes[story.length - 1] as Change;
  const recipients = to.map((address, n): LoggedEvent['recipients'][number] => {
    const own = changes.filter((change) => change.n === n);
    const type = own.at(-1)?.type ?? 'accepted';
    const status = type === 'accepted' || type === 'released' || type === 'retried' ? 'queued' : type === 'returned' ? 'bounced' : type;
    const attempts = own.filter(({ outcome }) => outcome !== null).length;
    return { n, to: address, status, attempts, nextAtMs: null, lastOutcome: own.findLast(({ outcome }) => outcome !== null)?.outcome ?? null };
  });
  return { place: { seq: last.seq, change: 0 }, type: last.type, atMs: last.atMs, envelope, to, n: last.n, nextAtMs: last.nextAtMs, outcome: last.outcome, recipients, changes };
}

const summary = ({ name, kind, parentSpanId, error, notes }: Span): string =>
  [name, kind, parentSpanId === null ? 'root' : 'child', error ?? 'unset', ...notes.map((note) => note.name)].join(' | ');

const ANN = ['ann@b.test'];
const BOTH = ['ann@b.test', 'bob@c.test'];
const CASES: Readonly<Record<string, readonly [LoggedEvent, readonly string[]]>> = {
  'acceptance makes none: the root comes at the end': [event(ANN, [['accepted', null, null]]), []],
  'the only recipient has it': [
    event(ANN, [
      ['accepted', null, null],
      ['delivered', 0, delivered],
    ]),
    ['deliver | client | child | unset', 'message | consumer | root | unset'],
  ],
  'one of two has it': [
    event(BOTH, [
      ['accepted', null, null],
      ['delivered', 1, delivered],
    ]),
    ['deliver | client | child | unset'],
  ],
  'a deferral is no error, and no end': [
    event(ANN, [
      ['accepted', null, null],
      ['deferred', 0, deferred],
    ]),
    ['deliver | client | child | unset'],
  ],
  'delivered after a deferral': [
    event(ANN, [
      ['accepted', null, null],
      ['deferred', 0, deferred],
      ['delivered', 0, delivered],
    ]),
    ['deliver | client | child | unset', 'message | consumer | root | unset'],
  ],
  'read late: the end is another event': [
    event(
      BOTH,
      [
        ['accepted', null, null],
        ['delivered', 0, delivered],
      ],
      [['bounced', 1, bounced]],
    ),
    ['deliver | client | child | unset'],
  ],
  'one of two bounces': [
    event(BOTH, [
      ['accepted', null, null],
      ['delivered', 1, delivered],
      ['bounced', 0, bounced],
    ]),
    ['deliver | client | child | There is no mailbox <***@b.test>.', 'message | consumer | root | 1 of 2 recipients did not get it.'],
  ],
  'its time is over': [
    event(ANN, [
      ['accepted', null, null],
      ['expired', 0, { ...deferred, verdict: 'expired', class: 'expired', cause: '' }],
    ]),
    ['deliver | client | child | expired', 'message | consumer | root | 1 of 1 recipients did not get it.'],
  ],
  'not tried: suppressed': [
    event(ANN, [
      ['accepted', null, null],
      ['bounced', 0, { ...bounced, class: 'suppressed', remoteHost: null, cause: 'It said: user Ann unknown.' }],
    ]),
    ['deliver | internal | child | It said: user *** unknown.', 'message | consumer | root | 1 of 1 recipients did not get it.'],
  ],
  'kept for viewing': [
    event(ANN, [
      ['accepted', null, null],
      ['captured', 0, { ...delivered, verdict: 'captured' }],
    ]),
    ['capture | internal | child | unset', 'message | consumer | root | unset'],
  ],
  'an operator held and cancelled it': [
    event(ANN, [
      ['accepted', null, null],
      ['held', 0, null],
      ['cancelled', 0, null],
    ]),
    ['message | consumer | root | unset | postern.held | postern.cancelled'],
  ],
  'a report came back, after the end': [
    event(ANN, [
      ['accepted', null, null],
      ['delivered', 0, delivered],
      ['returned', 0, bounced],
    ]),
    ['return | internal | child | There is no mailbox <***@b.test>.'],
  ],
};

for (const [name, [from, expected]] of Object.entries(CASES)) {
  test(name, () => {
    const spans = spansOf(from);
    assert.deepEqual(spans.map(summary), expected);
    for (const span of spans) {
      assert.equal(span.traceId, sha(ID).slice(0, 32));
      assert.equal(span.spanId === sha(`${ID} message`).slice(0, 16), span.parentSpanId === null);
      assert.doesNotMatch(JSON.stringify(span), /ann@|bob@|boss|secret|192\.0\.2\.7/);
    }
    assert.deepEqual(spansOf(from), spans);
  });
}

test('spans of several attempts differ', () => {
  const ids = Object.values(CASES).flatMap(([from]) => spansOf(from).map(({ spanId }) => `${from.place.seq} ${spanId}`));
  const one = spansOf(
    event(BOTH, [
      ['accepted', null, null],
      ['delivered', 0, delivered],
    ]),
  )[0];
  const two = spansOf(
    event(BOTH, [
      ['accepted', null, null],
      ['delivered', 0, delivered],
      ['delivered', 1, delivered],
    ]),
  )[0];
  assert.ok(ids.every((id) => /^\d+ [0-9a-f]{16}$/.test(id)));
  assert.notEqual(one?.spanId, two?.spanId);
});

test('as OTLP writes it: ids in hex, times and integers as text, kinds by number', () => {
  const spans = spansOf(
    event(ANN, [
      ['accepted', null, null],
      ['released', 0, null],
      ['bounced', 0, { ...bounced, durationMs: 50.25 }],
    ]),
  );
  const { resourceSpans, ...rest } = JSON.parse(exportRequest(spans, { version: '1.2.3', hostname: 'relay.test' })) as { resourceSpans: object[] };
  assert.deepEqual(rest, {});
  const text = (key: string, stringValue: string): object => ({ key, value: { stringValue } });
  const whole = (key: string, intValue: string): object => ({ key, value: { intValue } });
  const ids = { traceId: sha(ID).slice(0, 32), root: sha(`${ID} message`).slice(0, 16) };
  assert.deepEqual(resourceSpans, [
    {
      resource: { attributes: [text('service.name', 'postern'), text('service.version', '1.2.3'), text('host.name', 'relay.test')] },
      scopeSpans: [
        {
          scope: { name: 'postern', version: '1.2.3' },
          spans: [
            {
              traceId: ids.traceId,
              spanId: sha(`${ID} evt_12_0`).slice(0, 16),
              parentSpanId: ids.root,
              name: 'deliver',
              kind: 3,
              startTimeUnixNano: '1700000000100000000',
              endTimeUnixNano: '1700000000150250000',
              attributes: [
                text('postern.message.id', ID),
                text('postern.recipient.domain', 'b.test'),
                whole('postern.recipient.index', '0'),
                text('postern.verdict', 'bounced'),
                text('postern.class', 'no-such-user'),
                text('postern.cause', 'There is no mailbox <***@b.test>.'),
                whole('postern.reply.code', '550'),
                text('postern.reply.enhanced', '5.1.1'),
                text('postern.route', 'mx'),
                text('error.type', 'no-such-user'),
                text('server.address', 'mx.b.test'),
                whole('server.port', '25'),
                text('network.peer.address', '192.0.2.25'),
                whole('network.peer.port', '25'),
                text('network.protocol.name', 'smtp'),
                text('tls.protocol.version', '1.3'),
                text('tls.cipher', 'TLS_AES_256_GCM_SHA384'),
                text('postern.tls', 'TLSv1.3 TLS_AES_256_GCM_SHA384 verified'),
                text('postern.tls_policy', 'dane'),
              ],
              status: { code: 2, message: 'There is no mailbox <***@b.test>.' },
            },
            {
              traceId: ids.traceId,
              spanId: ids.root,
              name: 'message',
              kind: 5,
              startTimeUnixNano: '1700000000000000000',
              endTimeUnixNano: '1700000002000000000',
              attributes: [
                text('postern.message.id', ID),
                whole('postern.size', '1234'),
                text('postern.kind', 'mail'),
                text('postern.mode', 'live'),
                text('postern.profile', 'submission'),
                text('postern.credential', 'app'),
                text('postern.project', 'shop'),
                whole('postern.recipients.total', '1'),
                whole('postern.recipients.bounced', '1'),
                whole('postern.attempts', '1'),
                text('error.type', 'no-such-user'),
              ],
              events: [{ timeUnixNano: '1700000001000000000', name: 'postern.released' }],
              status: { code: 2, message: '1 of 1 recipients did not get it.' },
            },
          ],
        },
      ],
    },
  ]);
});

test('the same messages are sampled each time, as many as asked for, and more of them with a larger share', () => {
  const ids = Array.from({ length: 4000 }, (_, i) => `message${i}`);
  const picked = (share: number): string[] => ids.filter((id) => isSampled(id, share));
  assert.equal(picked(0).length, 0);
  assert.equal(picked(1).length, ids.length);
  const tenth = picked(0.1);
  assert.ok(tenth.length > 300 && tenth.length < 500, String(tenth.length));
  assert.deepEqual(picked(0.1), tenth);
  const half = new Set(picked(0.5));
  assert.ok(tenth.every((id) => half.has(id)));
  assert.match(traceIdOf('message1'), /^[0-9a-f]{32}$/);
});

test('addresses are taken out of what is said', () => {
  const known = ['O.Neil+x@B.test', '"odd name"@b.test'];
  for (const [said, left] of [
    ['<o.neil+x@b.test>: unknown', '<***@b.test>: unknown'],
    ['User O.NEIL+X is unknown, as is other.one@c.test', 'User *** is unknown, as is ***@c.test'],
    ['no "odd name"@b.test here', 'no ***@b.test here'],
    ['the host mx.b.test', 'the host mx.b.test'],
    ['', ''],
  ] as const)
    assert.equal(withoutAddresses(said, known), left);
});

test('what an answer means', () => {
  const of = (status: number, rejected = 0): string => judgeAnswer({ status, retryAfter: null, rejected }).result;
  assert.deepEqual(
    [200, 204, 429, 502, 503, 504].map((status) => of(status)),
    ['taken', 'taken', 'again', 'again', 'again', 'again'],
  );
  assert.deepEqual(
    [302, 400, 401, 404, 413, 415, 500].map((status) => of(status)),
    Array(7).fill('refused'),
  );
  for (const status of [200, 302, 400, 401, 404, 413, 415, 429, 500, 503]) {
    const { cause, fix } = judgeAnswer({ status, retryAfter: null, rejected: 3 });
    assert.match(cause, /^[A-Z].*\.$/);
    assert.match(fix, /^[A-Z].*\.$/);
  }
  assert.equal(judgeAnswer({ failure: 'other', text: 'x cannot be reached' }).result, 'again');
});

test('pauses grow to a minute', () => {
  assert.deepEqual(
    [1, 2, 3, 6, 7, 100].map((failures) => pauseMs(failures, 0.5)),
    [1000, 2000, 4000, 32_000, 60_000, 60_000],
  );
  assert.ok(pauseMs(1, 0) >= 800 && pauseMs(1, 1) <= 1200);
});

test('the headers of a collector: read by line, and never repeated', () => {
  assert.deepEqual(parseHeaders('\ufeff# a token\r\nAuthorization: Bearer a:b\r\n\r\nx-scope-orgid : 7\n'), { headers: { authorization: 'Bearer a:b', 'x-scope-orgid': '7' } });
  for (const [text, line] of [
    ['a: 1\nsecret', 2],
    [': secret', 1],
    ['a:', 1],
    ['a b: secret', 1],
    ['a: se\u0000cret', 1],
    ['Host: secret', 1],
    ['a: secret\nA: secret', 2],
    [Array.from({ length: 51 }, (_, i) => `h${i}: secret`).join('\n'), 51],
  ] as const) {
    const parsed = parseHeaders(text);
    assert.ok('mistake' in parsed, text);
    assert.match(parsed.mistake, new RegExp(`^line ${line} `));
    assert.doesNotMatch(parsed.mistake, /secret/);
  }
});
