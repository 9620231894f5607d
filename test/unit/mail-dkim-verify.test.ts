// DKIM signatures verified: the examples of the RFCs, and cases of our own, each a line of data. The body comes byte by byte.

import assert from 'node:assert/strict';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { BodyHashes, SignedHeader } from '#mail/dkim/check.ts';
import { BodyHash, canonicalField } from '#mail/dkim/canonical.ts';
import type { CanonicalizationName } from '#mail/dkim/canonical.ts';
import { openKeyCache, openKeys } from '#mail/dkim/key.ts';
import { computeSignature } from '#mail/dkim/pen.ts';
import { beginDkim } from '#mail/dkim/verify.ts';
import type { DkimVerdict } from '#mail/dkim/verify.ts';
import { parseHeaders } from '#mail/headers.ts';
import { zoneResolver } from '../support/zone.ts';
import type { Zone } from '../support/zone.ts';

async function verify(content: Buffer, zone: Zone): Promise<DkimVerdict[]> {
  const { fields, endOffset } = parseHeaders(content);
  const body = new BodyHashes();
  const finish = beginDkim({ keys: openKeys(zoneResolver(zone), openKeyCache()), header: new SignedHeader(content, fields), body, nowMs: Date.UTC(2026, 10, 24) });
  for (let at = endOffset; at < content.length; at++) body.update(content.subarray(at, at + 1));
  return finish();
}

describe('examples of the RFCs', () => {
  const directory = join(import.meta.dirname, '../vectors/dkim');
  for (const name of readdirSync(directory).filter((file) => file.endsWith('.eml'))) {
    const { source, keys } = JSON.parse(readFileSync(join(directory, name.replace('.eml', '.json')), 'utf8')) as { source: string; keys: Record<string, string> };
    const content = Buffer.from(readFileSync(join(directory, name), 'latin1').replace(/\r?\n/g, '\r\n'), 'latin1');
    const domain = /\bd=([^;]+);/.exec(content.toString('latin1'))?.[1] ?? '';
    const zone = Object.fromEntries(Object.entries(keys).map(([selector, pem]) => [`${selector}._domainkey.${domain}`, [{ TXT: record(createPrivateKey(pem)) }]]));
    const count = Object.keys(keys).length;

    it(`${source}: every signature passes`, async () => {
      const verdicts = await verify(content, zone);
      assert.equal(verdicts.length, count);
      for (const verdict of verdicts) assert.deepEqual([verdict.result, verdict.domain, verdict.reason], ['pass', domain, '']);
    });

    it(`${source}: none passes once the body or a signed field is changed`, async () => {
      for (const [from, to] of [
        ['hungry', 'angry'],
        ['dinner', 'lunch'],
      ] as const) {
        const changed = Buffer.from(content.toString('latin1').replace(from, to), 'latin1');
        for (const verdict of await verify(changed, zone)) assert.equal(verdict.result, 'fail', from);
      }
    });
  }
});

type Case = {
  readonly name: string;
  readonly signature?: string;
  readonly key?: string | readonly string[] | null;
  readonly sign?: string;
  readonly change?: readonly [string, string];
  readonly result: string;
  readonly reason?: string;
};
type Cases = { readonly message: string; readonly signature: string; readonly key: string; readonly cases: readonly Case[] };

const data = JSON.parse(readFileSync(join(import.meta.dirname, '../vectors/dkim-verify/cases.json'), 'utf8')) as Cases;
const rsa = (bits: number): KeyObject => generateKeyPairSync('rsa', { modulusLength: bits }).privateKey;
const KEYS: Readonly<Record<string, KeyObject>> = { rsa: rsa(2048), rsa512: rsa(512), rsa1024: rsa(1024), ed25519: generateKeyPairSync('ed25519').privateKey };

function publicText(name: string): string {
  const key = createPublicKey(KEYS[name === 'rsaPkcs1' ? 'rsa' : name] as KeyObject);
  if (name === 'rsaPkcs1') return key.export({ type: 'pkcs1', format: 'der' }).toString('base64');
  const der = key.export({ type: 'spki', format: 'der' });
  return (name === 'ed25519' ? der.subarray(-32) : der).toString('base64');
}

function record(key: KeyObject): string {
  const der = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return key.asymmetricKeyType === 'ed25519' ? `v=DKIM1; k=ed25519; p=${der.subarray(-32).toString('base64')}` : `v=DKIM1; k=rsa; p=${der.toString('base64')}`;
}

/** The message with the signature that the case describes, signed by another code than the one that verifies. */
function signed(one: Pick<Case, 'signature' | 'sign' | 'change'>): Buffer {
  const { message } = data;
  const template = one.signature ?? data.signature;
  const tags = new Map(template.split(';').map((tag) => [tag.split('=')[0]?.trim() ?? '', tag.slice(tag.indexOf('=') + 1).trim()]));
  const [headAs, bodyAs = 'simple'] = (tags.get('c') ?? 'simple/simple').replace('nofws', 'simple').split('/') as [CanonicalizationName, CanonicalizationName?];
  const hash = new BodyHash(bodyAs);
  hash.update(Buffer.from(message.slice(message.indexOf('\r\n\r\n') + 4), 'latin1'));
  const unsigned = `DKIM-Signature: ${template.replace('{bh}', hash.digest().toString('base64'))}\r\n`;
  const names = (tags.get('h') ?? '').split(':').map((name) => name.trim().toLowerCase());
  const algorithm = tags.get('a') === 'ed25519-sha256' ? 'ed25519-sha256' : 'rsa-sha256';
  const key = KEYS[one.sign ?? (algorithm === 'ed25519-sha256' ? 'ed25519' : 'rsa')] as KeyObject;
  const signature = computeSignature(algorithm, key, inputOf(message, names, headAs) + canonicalField(unsigned, headAs).slice(0, -2));
  const field = unsigned.replace(/(;\s*b=)/, (whole) => `${whole}${signature}`);
  const whole = `${field}${message}`;
  return Buffer.from(one.change === undefined ? whole : whole.replace(one.change[0], one.change[1]), 'latin1');
}

function inputOf(message: string, names: readonly string[], as: CanonicalizationName): string {
  const left = parseHeaders(Buffer.from(message, 'latin1')).fields;
  let input = '';
  for (const name of names) {
    const at = left.findLastIndex((field) => field.name === name);
    const [field] = at === -1 ? [] : left.splice(at, 1);
    if (field === undefined) continue;
    const raw = message.slice(field.start, field.end);
    const colon = raw.indexOf(':');
    const value = raw
      .slice(colon + 1)
      .replace(/\s+/g, ' ')
      .trim();
    input += as === 'simple' ? raw : `${raw.slice(0, colon).toLowerCase()}:${value}\r\n`;
  }
  return input;
}

function zoneOf(one: Pick<Case, 'key'>): Zone {
  const key = one.key === undefined ? data.key : one.key;
  if (key === null) return {};
  if (key === 'TIMEOUT') return { 'key._domainkey.example.com': ['TIMEOUT'] };
  return { 'key._domainkey.example.com': [key].flat().map((text) => ({ TXT: text.replace(/\{(\w+)\}/g, (_whole, name: string) => publicText(name)) })) };
}

describe('cases of our own', () => {
  for (const one of data.cases) {
    it(one.name, async () => {
      const [verdict, ...more] = await verify(signed(one), zoneOf(one));
      assert.equal(more.length, 0);
      assert.ok(verdict);
      assert.equal(verdict.result, one.result, verdict.reason);
      assert.match(verdict.reason, new RegExp(one.reason ?? '^$'));
    });
  }

  it('ten signatures are looked at, the others are told as not looked at', async () => {
    const [field = '', ...rest] = signed({})
      .toString('latin1')
      .split(/(?<=\r\n)(?=From: )/);
    const verdicts = await verify(Buffer.from(field.repeat(12) + rest.join(''), 'latin1'), zoneOf({}));
    assert.deepEqual(
      verdicts.map((verdict) => verdict.result),
      [...Array.from({ length: 10 }, () => 'pass'), 'neutral', 'neutral'],
    );
  });

  it('the canonical body is counted as it is hashed', () => {
    const hash = new BodyHash('relaxed');
    hash.update(Buffer.from('a  b \r\n\r\n\r\n'));
    assert.equal(hash.digest().toString('hex'), createHash('sha256').update('a b\r\n').digest('hex'));
    assert.equal(hash.sizeBytes, 5);
  });
});
