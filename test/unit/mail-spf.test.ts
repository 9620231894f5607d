// SPF against the suite of RFC 7208, every case by its name, explanations included.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkSpf } from '#mail/spf/check.ts';
import { readSuites } from '../support/suites.ts';
import { zoneResolver } from '../support/zone.ts';
import type { ZoneRecord } from '../support/zone.ts';

type Case = { readonly host: string; readonly helo: string; readonly mailfrom: string; readonly result: string | readonly string[]; readonly explanation?: string };
type Scenario = {
  readonly description: string;
  readonly tests: Readonly<Record<string, Case>>;
  readonly zonedata: Readonly<Record<string, readonly ZoneRecord[]>>;
};

const DEFAULT_EXPLANATION = 'DEFAULT';

/** Records of type SPF stand for TXT records where the name has none of these (the suite's own rule). */
function asTxt(records: readonly ZoneRecord[]): ZoneRecord[] {
  const own = records.some((record) => record !== 'TIMEOUT' && 'TXT' in record);
  return records.map((record) => (record !== 'TIMEOUT' && 'SPF' in record && !own ? { TXT: record['SPF'] } : record));
}

describe('the suite of RFC 7208', () => {
  const suite = readSuites<Scenario>('spf/*.yml');
  if (suite === null) it('is not there', { skip: 'the suite is not beside the project' }, () => {});
  for (const scenario of suite ?? []) {
    const zone = Object.fromEntries(Object.entries(scenario.zonedata).map(([name, records]) => [name, asTxt(records)]));
    for (const [name, one] of Object.entries(scenario.tests)) {
      it(`${scenario.description}: ${name}`, async () => {
        const at = one.mailfrom.lastIndexOf('@');
        const question = {
          address: one.host,
          domain: one.mailfrom === '' ? one.helo : one.mailfrom.slice(at + 1),
          local: one.mailfrom === '' || at < 1 ? 'postmaster' : one.mailfrom.slice(0, at),
          helo: one.helo,
          hostname: 'unknown',
          nowMs: Date.now(),
        };
        const result = await checkSpf(zoneResolver(zone), question);
        assert.ok([one.result].flat().includes(result.result), `${result.result} (${result.reason}), not ${one.result}`);
        if (one.explanation !== undefined) assert.equal((await result.explain()) ?? DEFAULT_EXPLANATION, one.explanation);
      });
    }
  }
});
