// ARC against the validation suite of its working group, every case by its name.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { beginArc } from '#mail/arc/verify.ts';
import type { ArcVerdict } from '#mail/arc/verify.ts';
import { BodyHashes, SignedHeader } from '#mail/dkim/check.ts';
import { openKeyCache, openKeys } from '#mail/dkim/key.ts';
import { parseHeaders } from '#mail/headers.ts';
import { readSuites } from '../support/suites.ts';
import { zoneResolver } from '../support/zone.ts';

type Case = { readonly description: string; readonly message: string; readonly cv: string | null };
type Scenario = { readonly description: string; readonly tests: readonly (readonly [string, Case])[]; readonly 'txt-records': Readonly<Record<string, string>> };

async function verify(content: Buffer, records: Readonly<Record<string, string>>): Promise<ArcVerdict> {
  const zone = Object.fromEntries(Object.entries(records).map(([name, text]) => [name, [{ TXT: text }]]));
  const { fields, endOffset } = parseHeaders(content);
  const body = new BodyHashes();
  const finish = beginArc({ keys: openKeys(zoneResolver(zone), openKeyCache()), header: new SignedHeader(content, fields), body, nowMs: Date.now() });
  // In the smallest portions: nothing may hang on where they are cut.
  for (let at = endOffset; at < content.length; at++) body.update(content.subarray(at, at + 1));
  return finish();
}

describe('the ARC validation suite', () => {
  const suite = readSuites<Scenario>('arc/*validation*.yml', ['tests']);
  if (suite === null) it('is not there', { skip: 'the suite is not beside the project' }, () => {});
  for (const scenario of suite ?? []) {
    for (const [name, one] of scenario.tests) {
      it(`${scenario.description}: ${name}`, async () => {
        const content = Buffer.from(one.message.replace(/\r?\n/g, '\r\n'), 'latin1');
        const verdict = await verify(content, scenario['txt-records']);
        // No expectation stands where a seal says cv=fail: such a chain is broken (RFC 8617 5.2 step 2).
        assert.equal(verdict.result, (one.cv ?? '').toLowerCase() || 'fail', `${one.description}: ${verdict.reason}`);
      });
    }
  }
});
