// DMARC by cases, each a line of data: the tree walk, alignment, policies, broken headers, a DNS that does not answer.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { beginDmarc } from '#mail/dmarc/evaluate.ts';
import type { Identifier } from '#mail/dmarc/evaluate.ts';
import { zoneResolver } from '../support/zone.ts';
import type { ZoneRecord } from '../support/zone.ts';

type Case = {
  readonly name: string;
  readonly zone: Readonly<Record<string, string | readonly string[]>>;
  readonly exists?: readonly string[];
  readonly from: readonly string[];
  readonly fields?: number;
  readonly identifiers: readonly string[];
  readonly result: string;
  readonly policy?: string | null;
  readonly policyDomain?: string;
  readonly domain?: string;
  readonly by?: string;
  readonly reason?: string;
  readonly asked?: readonly string[];
};

const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/dmarc/cases.json'), 'utf8')) as { cases: readonly Case[] };

function zoneOf({ zone, exists = [] }: Case): Record<string, readonly ZoneRecord[]> {
  const records = Object.entries(zone).map(([name, text]): [string, ZoneRecord[]] => [
    `_dmarc.${name}`,
    [text].flat().map((one): ZoneRecord => (one === 'TIMEOUT' ? 'TIMEOUT' : { TXT: one })),
  ]);
  return Object.fromEntries([...records, ...exists.map((name): [string, ZoneRecord[]] => [name, [{ A: '192.0.2.1' }]])]);
}

function identifierOf(text: string): Identifier {
  const found = /^(\?)?(dkim|spf) (\S+)$/.exec(text);
  assert.ok(found, text);
  return { certain: found[1] === undefined, by: found[2] as Identifier['by'], domain: found[3] ?? '' };
}

for (const one of cases) {
  it(one.name, async () => {
    const resolver = zoneResolver(zoneOf(one));
    const verdict = await beginDmarc(resolver, { fromFields: one.fields ?? 1, domains: one.from })(one.identifiers.map(identifierOf));
    const told = JSON.stringify(verdict);
    assert.equal(verdict.result, one.result, told);
    if (one.policy !== undefined) assert.equal(verdict.policy, one.policy, told);
    if (one.policyDomain !== undefined) assert.equal(verdict.policyDomain, one.policyDomain, told);
    if (one.domain !== undefined) assert.equal(verdict.domain, one.domain, told);
    if (one.by !== undefined) assert.equal(verdict.by, one.by, told);
    if (one.reason !== undefined) assert.match(verdict.reason, new RegExp(one.reason), told);
    if (one.asked !== undefined)
      assert.deepEqual(
        resolver.asked.filter((question) => question.startsWith('TXT ')).map((question) => question.slice(4)),
        one.asked,
      );
  });
}
