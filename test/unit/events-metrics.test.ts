// The registry: counting, adding threads up, what outlives a thread, and the Prometheus text.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { METRICS, Metrics } from '#events/metrics.ts';

function two(): Metrics {
  const metrics = new Metrics();
  metrics.add('postern_outcomes_total', ['mx', 'delivered', 'yes'], 2);
  metrics.add('postern_connections_open', ['mx']);
  metrics.observe('postern_accept_seconds', 3);
  metrics.observe('postern_accept_seconds', 60_000);
  return metrics;
}

test('threads add up', () => {
  const all = new Metrics();
  all.merge(two().snapshot());
  all.merge(structuredClone(two().snapshot()));
  const text = all.render();
  assert.match(text, /^postern_outcomes_total\{route="mx",verdict="delivered",tls="yes"\} 4$/m);
  assert.match(text, /^postern_connections_open\{profile="mx"\} 2$/m);
  assert.match(text, /^postern_accept_seconds_bucket\{le="0.0025"\} 0$/m);
  assert.match(text, /^postern_accept_seconds_bucket\{le="0.005"\} 2$/m);
  assert.match(text, /^postern_accept_seconds_bucket\{le="\+Inf"\} 4$/m);
  assert.match(text, /^postern_accept_seconds_sum 120.006$/m);
  assert.match(text, /^postern_accept_seconds_count 4$/m);
});

test('of a thread that is gone, gauges go and counters stay', () => {
  const past = new Metrics();
  past.mergeLasting(two().snapshot());
  assert.doesNotMatch(past.render(), /^postern_connections_open\{/m);
  assert.match(past.render(), /^postern_outcomes_total\{.*\} 2$/m);
  assert.match(past.render(), /^postern_accept_seconds_count 2$/m);
});

test('label values are escaped, lines are well formed', () => {
  const metrics = new Metrics();
  metrics.add('postern_outcomes_total', ['a"b\\c\nd', 'delivered', 'no']);
  assert.match(metrics.render(), /route="a\\"b\\\\c\\nd"/);
  for (const line of two().render().trimEnd().split('\n')) assert.match(line, /^(# (HELP|TYPE) postern_\w+ .+|postern_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+)$/);
});

test('docs/operations.md names every metric', () => {
  const docs = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
  for (const name of Object.keys(METRICS)) assert.ok(docs.includes(`\`${name}\``), name);
});
