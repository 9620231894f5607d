// Signatures of webhooks: the example of Standard Webhooks, several secrets, content in pieces, secrets that are none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openWebhookSigner, parseWebhookSecrets } from '#base/webhook.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const EXAMPLE = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', seconds: 1_614_265_330 };
const SIGNATURE = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=';

function sign(text: string, pieces: readonly string[]): string {
  const signer = openWebhookSigner(parseWebhookSecrets(text) ?? assert.fail('no secrets'), EXAMPLE);
  for (const piece of pieces) signer.update(Buffer.from(piece));
  return signer.finish();
}

test('the example of Standard Webhooks, in one piece and in several, with and without the prefix', () => {
  assert.equal(sign(SECRET, ['{"test": 2432232314}']), SIGNATURE);
  assert.equal(sign(`${SECRET}\n`, ['{"test"', ': ', '', '2432232314}']), SIGNATURE);
  assert.equal(sign(SECRET.slice('whsec_'.length), ['{"test": 2432232314}']), SIGNATURE);
});

test('while a secret is changed both sign', () => {
  const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  const both = sign(`${SECRET}\n${other}\n`, ['{"test": 2432232314}']);
  assert.deepEqual(both.split(' ').length, 2);
  assert.ok(both.startsWith(`${SIGNATURE} v1,`));
});

test('what is no secret is refused, whatever stands beside it', () => {
  const short = Buffer.alloc(23).toString('base64');
  const long = Buffer.alloc(65).toString('base64');
  for (const text of ['', '\n', 'whsec_', 'not a secret', short, long, `${SECRET}\nnot a secret`, `${SECRET}\n`.repeat(4)])
    assert.equal(parseWebhookSecrets(text), null, JSON.stringify(text));
});
