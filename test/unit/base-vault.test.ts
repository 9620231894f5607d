import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PosternError } from '#base/failure.ts';
import { openVault } from '#base/vault.ts';
import { readSecretKey } from '#server/secret-key.ts';
import { tempDir } from '../support/temp.ts';

const failsWith = (code: string) => (error: unknown) => error instanceof PosternError && error.failure.code === code && error.failure.fix !== '';

test('what is sealed opens with the same key, purpose and place, and with nothing else', () => {
  const key = randomBytes(32);
  const vault = openVault(key);
  const plain = Buffer.from('a private key');
  const sealed = vault.seal('dkim', 'row/1', plain);
  assert.ok(!sealed.includes(plain));
  assert.notDeepEqual(vault.seal('dkim', 'row/1', plain), sealed, 'a nonce of its own each time');
  assert.deepEqual(openVault(key).open('dkim', 'row/1', sealed), plain);
  assert.throws(() => vault.open('dkim', 'row/2', sealed), failsWith('secret-not-opened'));
  assert.throws(() => vault.open('other', 'row/1', sealed), failsWith('secret-not-opened'));
  assert.throws(() => openVault(randomBytes(32)).open('dkim', 'row/1', sealed), failsWith('secret-not-opened'));
  for (const at of [0, 1, 13, sealed.length - 1]) {
    const changed = Buffer.from(sealed);
    changed[at] = (changed[at] as number) ^ 1;
    assert.throws(() => vault.open('dkim', 'row/1', changed), failsWith('secret-not-opened'), `byte ${at}`);
  }
  assert.throws(() => vault.open('dkim', 'row/1', Buffer.alloc(3)), failsWith('secret-not-opened'));
  assert.equal(openVault(key).derive('verp').toString('hex'), vault.derive('verp').toString('hex'));
  assert.notDeepEqual(vault.derive('verp'), vault.derive('dkim'));
});

test('the key file is made once, for its owner alone, and refused when it is open to others, malformed or missing though in use', () => {
  const dir = tempDir('key');
  const path = join(dir, 'secret.key');
  assert.throws(() => readSecretKey(dir, { inUse: true }), failsWith('secret-key-missing'));
  const key = readSecretKey(dir, { inUse: false });
  assert.equal(key.length, 32);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readSecretKey(dir, { inUse: true }), key);
  for (const mode of [0o644, 0o640, 0o602, 0o660]) {
    chmodSync(path, mode);
    assert.throws(() => readSecretKey(dir, { inUse: true }), failsWith('secret-key-open'), mode.toString(8));
  }
  chmodSync(path, 0o600);
  assert.deepEqual(readSecretKey(dir, { inUse: true }), key);
  const text = readFileSync(path, 'latin1');
  writeFileSync(path, text.slice(0, 20));
  assert.throws(() => readSecretKey(dir, { inUse: true }), failsWith('secret-key-malformed'));
});
