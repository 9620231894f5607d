// What the configuration page calls reloadable is what a reload takes over, key by key: each is changed to another value that it takes, and the
// properties that differ then are looked up in src/config/reloadable.ts.

import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '#config/load.ts';
import type { Config } from '#config/config.ts';
import { isReloadable } from '#config/reloadable.ts';
import { LISTS, ROWS } from '#config/schema.ts';
import type { Row } from '#config/schema.ts';
import { differences } from '#server/reload.ts';
import { ROOT } from '../support/markdown.ts';

type Env = Readonly<Record<string, string>>;

const [FILE, OTHER_FILE] = [join(ROOT, 'package.json'), join(ROOT, 'tsconfig.json')];
/** One of these is a value that a key takes and that differs from its default. */
const VALUES = [
  '3',
  '17',
  '0.5',
  '2s',
  '17m',
  '3d',
  '17MB',
  '17KB',
  'true',
  'false',
  'other.example.com',
  '127.0.0.9',
  'https://other.example.com',
  '["127.0.0.9"]',
  'debug',
  'off',
  'TLSv1.3',
  'pretty',
  'json',
  'https://other.example.com/directory',
  'postmaster@example.com',
  'dns-01',
  'rsa',
  FILE,
];
/** Keys that mean something only together with others. */
const TOGETHER: Readonly<Record<string, { readonly before: Env; readonly after: Env }>> = {
  'tls.mode': { before: {}, after: { POSTERN_TLS__MODE: 'files', POSTERN_TLS__CERT: FILE, POSTERN_TLS__KEY: FILE } },
  'tls.cert': {
    before: { POSTERN_TLS__MODE: 'files', POSTERN_TLS__CERT: FILE, POSTERN_TLS__KEY: FILE },
    after: { POSTERN_TLS__MODE: 'files', POSTERN_TLS__CERT: OTHER_FILE, POSTERN_TLS__KEY: FILE },
  },
  'tls.acme.eab_kid': { before: {}, after: { POSTERN_TLS__ACME__EAB_KID: 'kid', POSTERN_TLS__ACME__EAB_KEY_FILE: FILE } },
  'tls.acme.eab_key_file': {
    before: { POSTERN_TLS__ACME__EAB_KID: 'kid', POSTERN_TLS__ACME__EAB_KEY_FILE: FILE },
    after: { POSTERN_TLS__ACME__EAB_KID: 'kid', POSTERN_TLS__ACME__EAB_KEY_FILE: OTHER_FILE },
  },
  'tls.key': {
    before: { POSTERN_TLS__MODE: 'files', POSTERN_TLS__CERT: FILE, POSTERN_TLS__KEY: FILE },
    after: { POSTERN_TLS__MODE: 'files', POSTERN_TLS__CERT: FILE, POSTERN_TLS__KEY: OTHER_FILE },
  },
};
/** Keys that are asked for and not kept. */
const ASKED = new Set(['tls.acme.agree_terms']);
const LIST_VALUES: Readonly<Record<keyof typeof LISTS, unknown>> = {
  listener: [{ profile: 'mx', port: 2526 }],
  'tls.certificate': [{ cert: FILE, key: FILE }],
  route: [{ type: 'capture' }],
  tls_policy: [{ require: 'verified' }],
  forward: [{ match: 'info@example.com', to: ['a@example.net'] }],
};

function load(env: Env): Config {
  return loadConfig({ file: null, env, directory: tmpdir() }).config;
}

function nameOf(key: string): string {
  return `POSTERN_${key.toUpperCase().replaceAll('.', '__')}`;
}

/** The properties that another value of this key changes. */
function changedBy(key: string): string[] {
  const together = TOGETHER[key];
  if (together !== undefined) return differences(load(together.before), load(together.after));
  for (const value of VALUES) {
    try {
      const changed = differences(load({}), load({ [nameOf(key)]: value }));
      if (changed.length > 0) return changed;
    } catch {
      // It does not take this one.
    }
  }
  return [];
}

for (const row of Object.values(ROWS as Readonly<Record<string, Row>>)) {
  if (ASKED.has(row.key)) continue;
  test(`${row.key} ${row.reloadable ? 'takes effect at a reload' : 'needs a restart'}`, () => {
    const changed = changedBy(row.key);
    assert.ok(changed.length > 0, 'no value was found that it takes and that differs: add one to VALUES or TOGETHER');
    for (const path of changed) assert.equal(isReloadable(path), row.reloadable, path);
  });
}

for (const [name, value] of Object.entries(LIST_VALUES)) {
  test(`[[${name}]] takes effect as its rows say`, () => {
    const changed = differences(load({}), load({ [nameOf(name)]: JSON.stringify(value) }));
    assert.ok(changed.length > 0);
    for (const row of Object.values(LISTS[name as keyof typeof LISTS] as Readonly<Record<string, Row>>)) {
      for (const path of changed) assert.equal(isReloadable(path), row.reloadable, `${row.key}: ${path}`);
    }
  });
}
