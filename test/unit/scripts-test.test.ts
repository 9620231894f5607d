// `npm test` on a machine that lacks something: files that need it are left out and named, the others run; in CI nothing runs and it is an error.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../support/postern.ts';
import { run, tempDir } from '../support/temp.ts';
import type { Done } from '../support/temp.ts';

const PACKAGES = JSON.parse(readFileSync(join(ROOT, 'scripts/packages.json'), 'utf8')) as Record<string, string[]>;

/** A test directory of its own: `deep` needs openssl by way of two modules, `plain` needs nothing. */
function tests(): { deep: string; plain: string; skipping: string; foreign: string; wrong: string } {
  const dir = tempDir('needs');
  mkdirSync(join(dir, 'support'));
  const put = (name: string, text: string): string => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  put('support/inner.ts', '// Keys.\n// Needs: openssl\n\nexport const inner = 1;\n');
  put('support/outer.ts', "// More.\n\nexport { inner } from './inner.ts';\n");
  const body = (lines: string): string => `import { test } from 'node:test';\n${lines}\n`;
  return {
    deep: put('deep.test.ts', body("import { inner } from './support/outer.ts';\ntest('deep ran', () => inner);")),
    plain: put('plain.test.ts', body("test('plain ran', () => {});")),
    skipping: put('skipping.test.ts', body("test('it is not here', { skip: 'no such thing' }, () => {});")),
    foreign: put('foreign.test.ts', body("test('a suite', { skip: 'the suite is not beside the project' }, () => {});")),
    wrong: put('wrong.test.ts', `// Needs: opnessl\n\n${body("test('x', () => {});")}`),
  };
}

function npmTest(files: readonly string[], env: Readonly<Record<string, string>>): Promise<Done> {
  const inherited = { ...process.env };
  // This test runs under the test runner; the one it starts is not to report to it.
  delete inherited['NODE_TEST_CONTEXT'];
  delete inherited['CI'];
  return run(process.execPath, [join(ROOT, 'scripts/test.mjs'), ...files], { cwd: ROOT, env: { ...inherited, ...env } });
}

test('a file that needs an absent package is left out, by name and reason, at the start and at the end; the others run', async () => {
  const { deep, plain } = tests();
  const done = await npmTest([deep, plain], { POSTERN_TEST_ABSENT: 'openssl' });
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /plain ran/);
  assert.doesNotMatch(done.stdout, /deep ran/);
  assert.equal(done.stderr.split('1 TEST FILES ARE LEFT OUT').length - 1, 2, done.stderr);
  assert.match(done.stderr, /deep\.test\.ts needs openssl/);
  assert.match(done.stderr, /apt-get install openssl/);
});

test('a server that excludes others as a package is not to be installed, but unpacked', async () => {
  const { plain } = tests();
  const exclusive = join(plain, '..', 'exclusive.test.ts');
  writeFileSync(exclusive, "// Needs: opensmtpd\n\nimport { test } from 'node:test';\ntest('exclusive ran', () => {});\n");
  const done = await npmTest([exclusive, plain], { POSTERN_TEST_ABSENT: 'opensmtpd' });
  assert.equal(done.code, 0, done.stderr);
  assert.doesNotMatch(done.stdout, /exclusive ran/);
  assert.match(done.stderr, /npm test unpacks: opensmtpd/);
  assert.doesNotMatch(done.stderr, /apt-get install/);
});

test('with the package, both run and nothing is said', async () => {
  const { deep, plain } = tests();
  const done = await npmTest([deep, plain], {});
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /plain ran/);
  assert.match(done.stdout, /deep ran/);
  assert.doesNotMatch(done.stderr, /LEFT OUT/);
});

test('in CI an absent package ends with exit code 3, and nothing has run', async () => {
  const { deep, plain } = tests();
  const done = await npmTest([deep, plain], { POSTERN_TEST_ABSENT: 'openssl', CI: 'true' });
  assert.equal(done.code, 3);
  assert.match(done.stderr, /^error: 1 test files cannot run here; missing: openssl\./m);
  assert.match(done.stderr, /^fix: {3}/m);
  assert.doesNotMatch(done.stdout, /plain ran/);
});

test('a test that skips itself is told, and is an error in CI', async () => {
  const { skipping, foreign } = tests();
  const here = await npmTest([skipping], {});
  assert.equal(here.code, 0);
  assert.match(here.stderr, /1 tests skipped themselves:[^]*it is not here # SKIP no such thing/);
  assert.equal((await npmTest([skipping], { CI: 'true' })).code, 3);
  // Data that is not part of the project cannot be asked for.
  assert.equal((await npmTest([foreign], { CI: 'true' })).code, 0);
  assert.equal((await npmTest([foreign, skipping], { CI: 'true' })).code, 3);
});

test('a need that nobody knows is a mistake', async () => {
  const { wrong } = tests();
  const done = await npmTest([wrong], {});
  assert.equal(done.code, 3);
  assert.match(done.stderr, /wrong\.test\.ts needs "opnessl"/);
});

test('whoever runs a program of a package says that it needs the package', () => {
  const programs = Object.entries(PACKAGES).flatMap(([name, paths]) => paths.filter((path) => path.includes('bin/')).map((path) => ({ name, path })));
  const silent: string[] = [];
  for (const folder of ['support', 'unit', 'e2e', 'faults']) {
    for (const file of readdirSync(join(ROOT, 'test', folder)).filter((name) => name.endsWith('.ts'))) {
      const source = readFileSync(join(ROOT, 'test', folder, file), 'utf8');
      const said = new Set(/^\/\/ Needs: (.+)$/m.exec(source)?.[1]?.split(', ') ?? []);
      for (const { name, path } of programs) {
        const program = path.slice(path.lastIndexOf('/') + 1);
        const runs = source.includes(`'${path}'`) || new RegExp(`(?:run|startProcess|spawn|spawnSync|execFileSync|succeed)\\('${program}'`).test(source);
        // Tests that skip themselves without the program say so, and are counted.
        if (runs && !said.has(name) && !source.includes('is not installed')) silent.push(`test/${folder}/${file} runs ${program} and has no line "// Needs: ${name}"`);
      }
    }
  }
  assert.deepEqual(silent, []);
});
