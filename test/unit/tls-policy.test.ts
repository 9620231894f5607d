// The decision over one mail host, as a table: test/vectors/tls/policy.json. A row says what is published, configured and asked, and what
// must come of it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { decide, isDomainSpecific } from '#tls/policy.ts';
import type { ConfiguredPolicy, Demand, HostEvidence } from '#tls/policy.ts';
import type { StsMode } from '#tls/mta-sts-policy.ts';

type Row = {
  readonly what: string;
  readonly dane?: HostEvidence['dane']['status'];
  readonly sts?: StsMode | 'failed';
  readonly mx?: readonly string[];
  readonly mxAuthentic?: boolean;
  readonly require?: ConfiguredPolicy['require'];
  readonly names?: readonly string[];
  readonly demand?: Demand;
  readonly expect: { readonly policy: string; readonly level?: string; readonly names?: readonly string[]; readonly refused?: string };
};

const ROWS = JSON.parse(readFileSync(new URL('../vectors/tls/policy.json', import.meta.url), 'utf8')) as readonly Row[];
const RECORD = { usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32) };

function evidenceOf({ dane = 'none', sts, mx = ['mx.test'], mxAuthentic = false, require, names = [], demand = 'policy' }: Row): HostEvidence {
  const name = '_25._tcp.base.test';
  return {
    domain: 'domain.test',
    host: 'mx.test',
    mxAuthentic,
    demand,
    configured: require === undefined ? null : { match: 'domain.test', require, names },
    dane:
      dane === 'none'
        ? { status: dane, why: 'no records' }
        : dane === 'failed'
          ? { status: dane, name, why: 'SERVFAIL' }
          : { status: dane, base: 'base.test', name, set: { usable: dane === 'usable' ? [RECORD] : [], ignored: [] } },
    sts:
      sts === undefined
        ? { status: 'none', why: 'no policy' }
        : sts === 'failed'
          ? { status: 'failed', result: 'sts-policy-fetch-error', why: 'status 500' }
          : { status: 'policy', id: '1', policy: { mode: sts, mx, maxAgeSeconds: 60, text: [] }, fetchedAtMs: 0, expiresAtMs: 1, stale: null },
  };
}

for (const row of ROWS) {
  test(`policy: ${row.what}`, () => {
    const decision = decide(evidenceOf(row));
    const { expect } = row;
    assert.equal(decision.policy, expect.policy);
    assert.ok(decision.why.length > 10, 'says why');
    if ('refused' in decision) assert.equal(decision.refused, expect.refused);
    else {
      assert.equal(decision.required.level, expect.level);
      if (expect.names !== undefined) assert.deepEqual('names' in decision.required ? decision.required.names : null, expect.names);
    }
  });
}

test('a decision that names a domain is its own: everything but plain DANE-EE and nothing at all', () => {
  for (const row of ROWS) {
    const shared = row.require === undefined && (row.demand ?? 'policy') === 'policy' && (row.sts === undefined || row.sts === 'none');
    assert.equal(isDomainSpecific(evidenceOf(row)), !shared, row.what);
  }
  const anchored = evidenceOf({ what: '', dane: 'usable', expect: { policy: '' } });
  assert.ok(isDomainSpecific({ ...anchored, dane: { status: 'usable', base: 'b', name: 'n', set: { usable: [{ ...RECORD, usage: 2 }], ignored: [] } } }));
});
