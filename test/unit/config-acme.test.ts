// The keys of [tls.acme] together: what is refused, with the key that is wrong, and what comes out when nothing is.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PosternError } from '#base/failure.ts';
import { loadConfig } from '#config/load.ts';
import type { Config } from '#config/config.ts';
import { tempDir } from '../support/temp.ts';

function load(acme: string, hostname = 'mail.example.com'): Config {
  const file = join(tempDir('conf'), 'postern.toml');
  writeFileSync(file, `hostname = "${hostname}"\n[tls]\nmode = "acme"\n[tls.acme]\n${acme}\n`);
  return loadConfig({ file, env: {}, directory: '.' }).config;
}

const AGREED = 'agree_terms = true\n';

const refused: readonly [string, string, RegExp][] = [
  ['no agreement', '', /tls\.acme\.agree_terms: must be true .* terms of service/],
  ['a wildcard by HTTP', `${AGREED}names = ["*.example.com"]`, /tls\.acme\.names: has a wildcard/],
  ['an address for a name', `${AGREED}names = ["192.0.2.1"]`, /tls\.acme\.names\.0: .* must be a host name with a dot/],
  ['a name without a dot', `${AGREED}names = ["localhost"]`, /must be a host name with a dot/],
  ['no hook', `${AGREED}challenge = "dns-01"`, /tls\.acme\.hook: is needed/],
  ['half an external account', `${AGREED}eab_kid = "x"`, /tls\.acme\.eab_key_file: is needed/],
  ['a directory without TLS', `${AGREED}directory = "http://ca.example/dir"`, /must be an HTTPS URL/],
  ['a password in the URL', `${AGREED}directory = "https://a:b@ca.example/dir"`, /must be an HTTPS URL/],
  ['a contact that is a URL', `${AGREED}contact = ["mailto:x"]`, /must be a mail address/],
  ['a CA file that is not there', `${AGREED}ca_file = "/nowhere.pem"`, /tls\.acme\.ca_file: .* cannot be read/],
  ['an unknown key', `${AGREED}key_typ = "rsa"`, /tls\.acme\.key_type is perhaps meant/],
];
for (const [what, acme, expected] of refused) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => load(acme),
      (error) => error instanceof PosternError && error.exitCode === 2 && expected.test(error.failure.cause),
    );
  });
}

test('refused: a host name that no authority issues for', () => {
  assert.throws(() => load(AGREED, 'localhost'), /hostname: "localhost" must be a host name with a dot/);
});

test('the port is the one of the challenge, unless another is named', () => {
  assert.equal(load(AGREED).tls.acme.port, 80);
  assert.equal(load(`${AGREED}challenge = "tls-alpn-01"`).tls.acme.port, 443);
  assert.equal(load(`${AGREED}port = 8402`).tls.acme.port, 8402);
});

test("the defaults: Let's Encrypt, ECDSA, a wildcard by DNS", () => {
  const { acme } = load(`${AGREED}challenge = "dns-01"\nhook = ["/bin/hook", "a b"]\nnames = ["*.example.com"]\nhook_timeout = "90s"`).tls;
  assert.match(acme.directory, /^https:\/\/acme-v02\.api\.letsencrypt\.org\//);
  assert.deepEqual([acme.keyType, acme.hook, acme.names, acme.hookTimeoutMs, acme.external], ['ecdsa', ['/bin/hook', 'a b'], ['*.example.com'], 90_000, null]);
});
