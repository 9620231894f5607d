// The life of a domain's keys in the directory: next, active, retiring, removed.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDirectory } from '#store/directory.ts';
import type { DomainKey } from '#store/domain-keys.ts';
import { atEnd, tempDir } from '../support/temp.ts';

function key(selector: string, overrides: Partial<DomainKey> = {}): DomainKey {
  return {
    domain: 'example.com',
    selector,
    algorithm: 'rsa-sha256',
    state: 'active',
    publicKey: Buffer.from('public'),
    sealed: Buffer.from('sealed'),
    createdAtMs: 1,
    activatedAtMs: 1,
    removableAtMs: null,
    ...overrides,
  };
}

function open(): ReturnType<typeof openDirectory> & { generation: Int32Array } {
  const generation = new Int32Array(new SharedArrayBuffer(4));
  const directory = openDirectory(join(tempDir('dk'), 'directory.db'), generation);
  atEnd(() => directory.close());
  return { ...directory, generation };
}

const states = async (directory: ReturnType<typeof open>): Promise<string[]> => (await directory.domainKeys()).map((one) => `${one.selector} ${one.state}`);

test('a key that is activated retires the one of its algorithm, whose private half is forgotten', async () => {
  const directory = open();
  await directory.addDomainKeys([key('ar'), key('ae', { algorithm: 'ed25519-sha256' }), key('br', { state: 'next', createdAtMs: 2 })]);
  const before = directory.generation[0];
  await directory.activateKey(key('br'), { nowMs: 10, removableAtMs: 100 });
  assert.notEqual(directory.generation[0], before, 'the workers hear of it');
  assert.deepEqual((await states(directory)).toSorted(), ['ae active', 'ar retiring', 'br active']);
  const retired = (await directory.domainKeys()).find((one) => one.selector === 'ar');
  assert.deepEqual([retired?.sealed, retired?.removableAtMs], [null, 100]);
  await directory.activateKey(key('br'), { nowMs: 20, removableAtMs: 200 });
  await directory.activateKey(key('nothing'), { nowMs: 20, removableAtMs: 200 });
  assert.deepEqual((await states(directory)).toSorted(), ['ae active', 'ar retiring', 'br active'], 'what is no next key changes nothing');

  assert.deepEqual(await directory.forgetRetired(99), []);
  assert.deepEqual(
    (await directory.forgetRetired(100)).map((one) => one.selector),
    ['ar'],
  );
  assert.deepEqual(await directory.forgetRetired(1000), []);
  assert.deepEqual((await states(directory)).toSorted(), ['ae active', 'br active']);
  assert.deepEqual((await directory.selectors('example.com')).toSorted(), ['ae', 'ar', 'br'], 'its selector is remembered');
});

test('two active keys of one algorithm cannot be, and a selector cannot come back', async () => {
  const directory = open();
  await directory.addDomainKeys([key('ar')]);
  await assert.rejects(directory.addDomainKeys([key('be', { algorithm: 'ed25519-sha256' }), key('br')]), /UNIQUE/);
  assert.deepEqual(await states(directory), ['ar active'], 'all or nothing');
  await directory.forgetKeys('example.com', 'all');
  assert.deepEqual(await states(directory), []);
  await assert.rejects(directory.addDomainKeys([key('ar')]), /UNIQUE/);
});

test('a rotation that is called off takes the next keys only', async () => {
  const directory = open();
  await directory.addDomainKeys([key('ar'), key('br', { state: 'next' })]);
  assert.equal(await directory.forgetKeys('example.com', 'next'), 1);
  assert.deepEqual(await states(directory), ['ar active']);
});
