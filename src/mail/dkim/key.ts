// Public keys: the record in the DNS, what it allows, and the key made ready for use. Keys made ready are kept, bounded; records are the
// resolver's to keep. RFC 6376 3.6, RFC 8301 3.2, RFC 8463 4.

import type { KeyObject } from 'node:crypto';
import type { Resolver } from '#dns/resolver.ts';
import { decodeTagBase64, parseTags, withoutSpace } from '#mail/tags.ts';
import { ALGORITHMS } from './algorithms.ts';
import type { Algorithm } from './algorithms.ts';

export type PublicKey = {
  readonly algorithm: Algorithm;
  readonly key: KeyObject;
  /** Of an RSA key; Ed25519 has one size only. */
  readonly bits: number | null;
  /** `t=s`: `i=` must have the domain of `d=` itself. */
  readonly strict: boolean;
  /** `t=y`: the domain is trying DKIM out. */
  readonly testing: boolean;
};

/** No key: for now, or for good. `reason` is a phrase for people. */
export type NoKey = { readonly failure: 'temperror' | 'permerror'; readonly reason: string };

export type Keys = { find(domain: string, selector: string): Promise<PublicKey | NoKey> };

const KEPT = 2000;
const MAX_RECORD_CHARACTERS = 16 * 1024;

/** Keys made ready, for all messages of a worker: to make one takes as long as to use it. */
export type KeyCache = { read(record: string): PublicKey | NoKey };

export function openKeyCache(): KeyCache {
  // A Map iterates in order of insertion: its first key was used least recently.
  const ready = new Map<string, PublicKey | NoKey>();
  return {
    read(record) {
      const key = ready.get(record) ?? readKey(record);
      ready.delete(record);
      ready.set(record, key);
      for (const oldest of ready.keys()) {
        if (ready.size <= KEPT) break;
        ready.delete(oldest);
      }
      return key;
    },
  };
}

/** Finds keys by the DNS. */
export function openKeys(resolver: Pick<Resolver, 'txt'>, cache: KeyCache): Keys {
  return {
    async find(domain, selector) {
      const name = `${selector}._domainkey.${domain}`;
      const answer = await resolver.txt(name);
      if (answer.status === 'failed') {
        return { failure: answer.cause === 'bad-name' ? 'permerror' : 'temperror', reason: `the key ${name} could not be looked up: ${answer.detail}` };
      }
      if (answer.status !== 'found') return { failure: 'permerror', reason: `there is no key ${name}` };
      const key = cache.read(answer.records.find((record) => /(?:^|;)\s*p\s*=/.test(record)) ?? answer.records[0] ?? '');
      return 'failure' in key ? { ...key, reason: `the key ${name} ${key.reason}` } : key;
    },
  };
}

/** A record as it stands in the DNS. The reasons begin after "the key NAME". */
export function readKey(text: string): PublicKey | NoKey {
  const bad = (reason: string): NoKey => ({ failure: 'permerror', reason });
  const tags = text.length > MAX_RECORD_CHARACTERS ? null : parseTags(text);
  if (tags === null) return bad('is no list of tags');
  const version = tags.get('v');
  if (version !== undefined && (version !== 'DKIM1' || [...tags.keys()][0] !== 'v')) return bad('has another version than DKIM1');
  const published = tags.get('p');
  if (published === undefined) return bad('has no p=');
  if (published === '') return bad('is revoked (p= is empty)');
  const hashes = listOf(tags.get('h'));
  if (hashes !== null && !hashes.includes('sha256')) return bad('does not allow SHA-256 (h=)');
  const services = listOf(tags.get('s'));
  if (services !== null && !services.includes('*') && !services.includes('email')) return bad('is not for mail (s=)');
  const type = tags.get('k') ?? 'rsa';
  const algorithm = ALGORITHMS.find((one) => one.keyType === type);
  if (algorithm === undefined) return bad(`has an unknown type (k=${type.slice(0, 20)})`);
  const bytes = decodeTagBase64(published);
  const key = bytes === null ? null : algorithm.readPublic(bytes);
  if (key === null) return bad('cannot be read (p=)');
  const flags = listOf(tags.get('t')) ?? [];
  return { algorithm, key, bits: key.asymmetricKeyDetails?.modulusLength ?? null, strict: flags.includes('s'), testing: flags.includes('y') };
}

function listOf(value: string | undefined): string[] | null {
  return value === undefined ? null : withoutSpace(value).toLowerCase().split(':');
}
