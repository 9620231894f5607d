// The key file of a real server: made at the first start, refused when others may read it, missed when it is gone, given up when asked to.

import assert from 'node:assert/strict';
import { chmodSync, existsSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { startPostern } from '../support/postern.ts';
import { tempDir } from '../support/temp.ts';

type Rows = { readonly name: string; readonly value: string; readonly purpose: string }[];

const keysOf = (rows: Rows): string[] => rows.filter((row) => row.purpose.startsWith('dkim')).map((row) => row.name);

test('a key file that is open, or missing though in use, stops the start with cause and fix; --new-secret-key begins anew', async () => {
  const dataDir = join(tempDir('sk'), 'd');
  const path = join(dataDir, 'secret.key');
  const first = await startPostern({ dataDir });
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const rows = await first.json<Rows>('domain', 'add', 'example.test', '--inbound');
  await first.stop();

  chmodSync(path, 0o644);
  await assert.rejects(startPostern({ dataDir }), /ended with 3[^]*is not safe: others may read or change it \(mode 0644\)[^]*chmod 600/);
  chmodSync(path, 0o600);

  const again = await startPostern({ dataDir });
  assert.deepEqual(await again.json<Rows>('domain', 'show', 'example.test'), rows, 'the same keys after a restart');
  await again.stop();

  renameSync(path, `${path}.gone`);
  await assert.rejects(startPostern({ dataDir }), /ended with 3[^]*is missing[^]*--new-secret-key/);
  assert.ok(!existsSync(path), 'no new one is made behind the back');

  const renewed = await startPostern({ dataDir, serveArgs: ['--new-secret-key'] });
  const now = await renewed.json<Rows>('domain', 'show', 'example.test');
  assert.equal(keysOf(now).length, 2);
  assert.ok(
    keysOf(now).every((name) => !keysOf(rows).includes(name)),
    'selectors do not come back with other keys',
  );
  assert.ok(
    now.some((row) => row.purpose === 'mx'),
    'the domain stays as it was',
  );
  await renewed.stop();
});
