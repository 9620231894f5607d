// What has a name in the code has a row in the documentation, and the reverse: pages made from the code, log events, metrics, API routes,
// dependencies. The sentence that a test fails with says which row is missing where.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLog } from '#base/log.ts';
import { CLASSES } from '#knowledge/classes.ts';
import { EVENT_TYPE_NAMES } from '#events/event.ts';
import { METRICS } from '#events/metrics.ts';
import { createApp } from '#http/server.ts';
import type { AppParts } from '#http/server.ts';
import type { Decision } from '#tls/policy.ts';
import { PAGES } from '../../scripts/pages.ts';
import { ROOT, codes, files, page, sources, tableRows } from '../support/markdown.ts';

/** Both ways; `where` says what is to be done about it. */
function assertSame(documented: readonly string[], real: readonly string[], where: string): void {
  const missing = real.filter((one) => !documented.includes(one));
  const gone = documented.filter((one) => !real.includes(one));
  const twice = documented.filter((one, i) => documented.indexOf(one) !== i);
  assert.deepEqual({ missing, gone, twice }, { missing: [], gone: [], twice: [] }, where);
}

for (const [path, make] of Object.entries(PAGES)) {
  test(`${path} is what the code makes`, async () => {
    assert.equal(page(path), await make(), 'run "npm run docs" and commit what it writes');
  });
}

/** What a log event that is put together from parts can be. */
const EXPANDED: Readonly<Record<string, readonly string[]>> = {
  'delivery.${outcome.verdict}': ['delivery.delivered', 'delivery.deferred', 'delivery.bounced', 'delivery.expired', 'delivery.captured'],
};

test('every log event has a row in docs/operations.md, with its level, and every row is an event', () => {
  const call = /\blog(?:\.(debug|info|warn|error)|\[([^\]]+)\])\(/g;
  const events = new Map<string, Set<string>>();
  for (const source of sources()) {
    for (const match of source.matchAll(call)) {
      const name = /^\s*(['`])([^'`]+)\1/.exec(source.slice(match.index + match[0].length))?.[2];
      assert.ok(name !== undefined, `an event must stand as a literal in its call: ${source.slice(match.index, match.index + 80)}`);
      const levels = match[1] === undefined ? codes((match[2] ?? '').replaceAll("'", '`')) : [match[1]];
      for (const event of EXPANDED[name] ?? [name]) events.set(event, new Set([...(events.get(event) ?? []), ...levels]));
    }
  }
  assert.ok(events.size > 30, 'the pattern no longer finds the calls');
  const rows = tableRows(page('docs/operations.md'), 'event');
  assertSame(
    rows.flatMap((row) => codes(row['event'] ?? '')),
    [...events.keys()],
    'the table of events in docs/operations.md',
  );
  for (const row of rows) {
    const levels = (row['level'] ?? '').split(', ');
    const [event = ''] = codes(row['event'] ?? '');
    for (const level of levels) assert.ok(events.get(event)?.has(level), `${event} is not said as ${level}`);
    assert.match(row['what it means, and what to do'] ?? '', /\w.*\.$/, event);
  }
});

/** The words of src/tls/policy.ts; a new one is missing here for the compiler. */
const POLICY_REFUSALS: Readonly<Record<Extract<Decision, { refused: unknown }>['refused'], true>> = {
  'dane-lookup-failed': true,
  'dane-required': true,
  'mta-sts-mx-mismatch': true,
  'requiretls-mx-unverified': true,
};

test('every class of a failure has a row in docs/failures.md, and every row is a class', () => {
  const explaining = ['src/knowledge/explain.ts', ...files('src/deliver')].map(page).join('\n');
  const literals = [...explaining.matchAll(/\bclass: ([^\n]*?)(?:,(?: |$)|;|$)|\bdeferred\(('[^']+')/gm)].flatMap((match) =>
    // What is compared is no class.
    codes((match[1] ?? match[2] ?? '').replaceAll(/=== '[^']*'/g, '').replaceAll("'", '`')),
  );
  const documented = tableRows(page('docs/failures.md'), 'class').flatMap((row) => codes(row['class'] ?? ''));
  assertSame(documented, [...CLASSES.keys()], 'the tables of docs/failures.md and src/knowledge/classes.json');
  assert.deepEqual(
    [...new Set([...literals, ...Object.keys(POLICY_REFUSALS)])].filter((word) => !CLASSES.has(word)),
    [],
    'words that src/knowledge/classes.json lacks',
  );
});

test('every metric has a row in docs/operations.md that names its labels, and every row is a metric', () => {
  const rows = tableRows(page('docs/operations.md'), 'metric');
  assertSame(
    rows.flatMap((row) => codes(row['metric'] ?? '')),
    Object.keys(METRICS),
    'the table of metrics in docs/operations.md',
  );
  for (const row of rows) {
    const names = codes(row['metric'] ?? '');
    const labels = new Set(names.flatMap((name) => METRICS[name as keyof typeof METRICS].labels as readonly string[]));
    for (const label of labels) assert.ok(codes(row['what it tells'] ?? '').includes(label), `${names[0]} does not name its label ${label}`);
  }
});

test('every event has a row in docs/webhooks.md, and every row is an event', () => {
  const rows = tableRows(page('docs/webhooks.md'), 'event');
  assertSame(
    rows.flatMap((row) => codes(row['event'] ?? '')),
    EVENT_TYPE_NAMES,
    'the table of events in docs/webhooks.md',
  );
});

test('every route of the API is in docs/api.md, and every request there is a route', () => {
  const none = (): never => assert.fail('no request is made');
  const app = createApp({ log: silentLog, reload: none, flushHistory: none, readiness: none, metrics: none, directory: {}, admin: {}, history: {} } as unknown as AppParts);
  const shape = (path: string): string => path.replaceAll(/\/(?::\w+|[A-Z]+)(?=\/|$)/g, '/*').replace(/(.)\/$/, '$1');
  const routes = app.routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${shape(path)}`);
  const documented = tableRows(page('docs/api.md'), 'request').flatMap((row) =>
    codes(row['request'] ?? '').flatMap((code) => {
      const [, method, path = ''] = /^(GET|POST|PUT|PATCH|DELETE) (\/[^ ?]*)/.exec(code) ?? [];
      return method === undefined ? [] : [`${method} ${shape(path)}`];
    }),
  );
  assertSame(documented, [...new Set(routes)], 'the table of requests in docs/api.md');
});

test('every dependency has a row in docs/dependencies.md with its licence, and every row is a dependency', () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(page('package.json')) as Record<string, Record<string, string>>;
  const names = [dependencies, devDependencies, optionalDependencies].flatMap((group) => Object.keys(group ?? {}));
  const rows = tableRows(page('docs/dependencies.md'), 'package');
  assertSame(
    rows.flatMap((row) => codes(row['package'] ?? '')),
    names,
    'the tables of docs/dependencies.md',
  );
  for (const row of rows) {
    for (const name of codes(row['package'] ?? '')) {
      const manifest = join(ROOT, 'node_modules', name, 'package.json');
      // Those for other platforms are not installed.
      if (!existsSync(manifest)) continue;
      const { license } = JSON.parse(readFileSync(manifest, 'utf8')) as { license: string };
      assert.equal(row['licence'], license, name);
    }
    assert.match(row['why'] ?? '', /\w/, String(row['package']));
  }
});

type Locked = { readonly optionalDependencies?: Readonly<Record<string, string>>; readonly resolved?: string; readonly hasInstallScript?: true };

test('versions are exact, the lock file is whole and names no registry, and no package runs a script when it is installed', () => {
  const manifest = JSON.parse(page('package.json')) as Record<string, Record<string, string>>;
  for (const group of ['dependencies', 'devDependencies', 'optionalDependencies']) {
    for (const [name, version] of Object.entries(manifest[group] ?? {})) assert.match(version, /^\d+\.\d+\.\d+$/, name);
  }
  const { packages } = JSON.parse(page('package-lock.json')) as { packages: Record<string, Locked> };
  const absent = Object.values(packages).flatMap((entry) => Object.keys(entry.optionalDependencies ?? {}).filter((name) => packages[`node_modules/${name}`] === undefined));
  // npm leaves out what the registry did not serve, and "npm ci" then refuses the lock file.
  assert.deepEqual([...new Set(absent)], [], 'the lock file lacks optional packages: pin versions whose platform packages all exist');
  const having = (key: keyof Locked): string[] => Object.entries(packages).flatMap(([name, entry]) => (entry[key] === undefined ? [] : [name]));
  assert.deepEqual(having('resolved'), [], 'the lock file names a registry: "npm config set omit-lockfile-registry-resolved true", then make it again');
  assert.deepEqual(having('hasInstallScript'), []);
});
