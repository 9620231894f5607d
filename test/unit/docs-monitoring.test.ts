// The example dashboard and alert rules ask for what there is: every metric with the labels it has, and every label value that they compare with.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { METRICS } from '#events/metrics.ts';
import { SELF_CHECKS } from '#doctor/self/examine.ts';
import { codes, page, tableRows } from '../support/markdown.ts';

type Panel = { readonly title: string; readonly description?: string; readonly type: string; readonly targets?: readonly { readonly expr: string }[] };
type Rule = {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly fix: string };
};

const dashboard = JSON.parse(page('docs/monitoring/grafana.json')) as { readonly panels: readonly Panel[] };
const { groups } = parse(page('docs/monitoring/alerts.yml')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

/** What Prometheus and Grafana add. */
const ADDED = new Set(['job', 'instance', 'le']);
const VALUES: Readonly<Record<string, readonly string[]>> = {
  verdict: ['delivered', 'deferred', 'bounced', 'expired', 'captured'],
  state: ['ready', 'leased', 'deferred', 'held', 'captured'],
  'postern_webhooks state': ['active', 'failing', 'disabled'],
  'postern_webhook_attempts_total result': ['delivered', 'failed', 'given-up'],
  status: ['2xx', '3xx', '4xx', '5xx'],
  check: [...SELF_CHECKS],
  code: tableRows(page('docs/replies.md'), 'reply').flatMap((row) => codes(row['reply'] ?? '').map((reply) => reply.split(' ')[1] ?? '')),
};

/** A metric's definition by the name of one of its series. */
function definitionOf(series: string): { readonly labels: readonly string[] } | undefined {
  const name = series in METRICS ? series : series.replace(/_(?:bucket|sum|count)$/, '');
  return METRICS[name as keyof typeof METRICS];
}

function check(expr: string, where: string): void {
  let series = 0;
  for (const [, name = '', matchers = ''] of expr.matchAll(/\b(postern_\w+)(?:\{([^}]*)\})?/g)) {
    series++;
    const definition = definitionOf(name);
    assert.ok(definition !== undefined, `${where}: there is no metric ${name}`);
    for (const [, label = '', , value = ''] of matchers.matchAll(/(\w+)(=~|!=|=|!~)"([^"]*)"/g)) {
      assert.ok(ADDED.has(label) || definition.labels.includes(label), `${where}: ${name} has no label ${label}`);
      const known: readonly string[] | undefined = VALUES[`${name} ${label}`] ?? VALUES[label];
      if (ADDED.has(label) || known === undefined) continue;
      for (const one of value.split('|')) assert.ok(known.includes(one), `${where}: ${label} is never "${one}"`);
    }
  }
  for (const [, by = ''] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
    for (const label of by
      .split(',')
      .map((one) => one.trim())
      .filter((one) => !ADDED.has(one)))
      assert.ok(
        [...expr.matchAll(/\bpostern_\w+/g)].some(([name]) => definitionOf(name)?.labels.includes(label)),
        `${where}: nothing in it has the label ${label}`,
      );
  }
  assert.ok(series > 0 || expr.includes('up{job="postern"}'), `${where} asks for nothing of ours`);
}

test('every panel of the dashboard asks for what there is, and says what it shows', () => {
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');
  assert.ok(panels.length > 15);
  for (const { title, description, targets = [] } of panels) {
    assert.match(description ?? '', /\w.*\.$/, title);
    assert.ok(targets.length > 0, title);
    for (const { expr } of targets) check(expr, title);
  }
});

test('every alert asks for what there is, and says what to do', () => {
  assert.equal(new Set(rules.map((rule) => rule.alert)).size, rules.length);
  for (const { alert, expr, labels, annotations } of rules) {
    check(expr, alert);
    assert.match(labels.severity, /^(?:critical|warning|info)$/, alert);
    assert.match(annotations.summary, /\w/, alert);
    assert.match(annotations.fix, /\w.*\.$/, alert);
  }
});
