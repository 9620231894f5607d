// What can be done with the domains of this server: added with keys of their own, shown with the records they need, removed. Joins the directory,
// the vault and the making of records; changes of one domain never run into each other.

import type { Clock } from '#base/clock.ts';
import { PosternError } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import { openLiveDns } from '#dns/authority.ts';
import { findAddresses } from '#dns/mx.ts';
import { openResolver } from '#dns/resolver.ts';
import type { DomainChange, DomainService } from '#http/views/domain.ts';
import type { DomainDetail } from '#http/views/domain.ts';
import { makeKeys, publishedKey } from '#mail/dkim/keys.ts';
import { checkRecords } from '#mail/identity/check.ts';
import type { Checked } from '#mail/identity/check.ts';
import { keyRecord, publishedRecords } from '#mail/identity/records.ts';
import type { DnsRecord } from '#mail/identity/records.ts';
import type { Directory, Domain } from '#store/directory.ts';
import { KEY_PURPOSE, placeOf } from '#store/domain-keys.ts';
import type { DomainKey } from '#store/domain-keys.ts';

export type DomainsParts = {
  readonly directory: Directory;
  readonly vault: Vault;
  readonly hostname: string;
  /** Of the MTA-STS policy that is served; null: none. */
  readonly stsId: () => string | null;
  readonly dns: { readonly servers: readonly string[]; readonly dnssec: 'trust-ad' | 'off'; readonly timeoutMs: number };
  /** How long a signature counts: a record stays as long after its key's last one. */
  readonly signatureLifetimeMs: () => number;
  /** The records of a domain were looked at, and what is right of them is known to everybody. */
  readonly checked?: () => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** Short of the time that HTTP clients wait. */
const CHECK_MS = 25_000;

export function openDomains(parts: DomainsParts): DomainService {
  const { directory, hostname } = parts;
  const inTurn = openLine();
  const detail = async (domain: Domain): Promise<DomainDetail> => {
    const keys = (await directory.domainKeys()).filter((key) => key.domain === domain.name);
    const records = publishedRecords({ ...domain, keys: keys.map(publishedKey) }, { hostname, stsId: parts.stsId() });
    return {
      domain,
      keys: keys.map(({ publicKey: _publicKey, sealed: _sealed, domain: _domain, ...shown }) => shown),
      records: records.map((record) => ({ ...record, status: domain.statuses[`${record.type} ${record.name}`] ?? 'unchecked' })),
    };
  };
  return {
    list: () => directory.domains(),
    async show(name) {
      const domain = await directory.domain(name);
      return domain === null ? null : detail(domain);
    },
    add: (wanted: DomainChange) =>
      inTurn(async () => {
        const domain = await directory.addDomain(wanted);
        const keys = await directory.domainKeys();
        // Without a key before it there is no signature that these could break: they sign at once, published or not.
        if (!keys.some((key) => key.domain === domain.name)) await directory.addDomainKeys(await newKeys(parts, domain.name, 'active'));
        return detail(domain);
      }),
    check: (name) =>
      inTurn(async () => {
        const domain = await directory.domain(name);
        if (domain === null) return null;
        const findings = await lookUp(parts, (await detail(domain)).records);
        const changes = [...(await useWhatIsThere(parts, domain, findings)), ...(await forgetRetired(parts))];
        if (findings.every(({ status, settled }) => settled || status !== 'right')) parts.checked?.();
        const now = (await directory.domain(name)) ?? domain;
        return { ...(await detail(now)), findings: findings.map(({ settled: _settled, ...finding }) => finding), changes };
      }),
    rotate: (name, step) =>
      inTurn(async () => {
        const domain = await directory.domain(name);
        if (domain === null) return null;
        const next = (await directory.domainKeys()).filter((key) => key.domain === name && key.state === 'next');
        if (step === 'start') {
          if (next.length > 0) throw underWay(name, next);
          await directory.addDomainKeys(await newKeys(parts, name, 'next'));
        } else if (next.length === 0) throw noRotation(name);
        else if (step === 'cancel') await directory.forgetKeys(name, 'next');
        else for (const key of next) await activate(parts, key);
        return detail(domain);
      }),
    remove: (name) =>
      inTurn(async () => {
        await directory.forgetKeys(name, 'all');
        return directory.removeDomain(name);
      }),
  };
}

async function newKeys({ directory, vault, clock }: DomainsParts, domain: string, state: 'next' | 'active'): Promise<DomainKey[]> {
  const nowMs = clock.nowMs();
  const made = await makeKeys(nowMs, await directory.selectors(domain));
  return made.map(({ selector, algorithm, publicKey, privateKey }) => {
    const sealed = vault.seal(KEY_PURPOSE, placeOf({ domain, selector }), privateKey);
    privateKey.fill(0);
    return { domain, selector, algorithm, state, publicKey, sealed, createdAtMs: nowMs, activatedAtMs: state === 'active' ? nowMs : null, removableAtMs: null };
  });
}

/** The live DNS on these records; bounded in time. */
async function lookUp({ dns, hostname, clock }: DomainsParts, records: readonly DnsRecord[]): Promise<Checked[]> {
  const resolver = openResolver({ ...dns, clock });
  const ending = new AbortController();
  const cancel = clock.after(CHECK_MS, () => {
    ending.abort();
    resolver.close();
  });
  try {
    const found = await findAddresses(resolver, hostname);
    const live = openLiveDns({ servers: dns.servers, resolver, clock, signal: ending.signal });
    const addresses = 'addresses' in found ? found.addresses : [];
    return await checkRecords({ resolver, dns: live, hostname, addresses, nowMs: clock.nowMs() }, records);
  } finally {
    cancel();
    resolver.close();
  }
}

/** Published keys sign, the return path is used while it is right; the statuses are noted. Tells what changed. */
async function useWhatIsThere(parts: DomainsParts, domain: Domain, findings: readonly Checked[]): Promise<string[]> {
  const { directory, clock, log } = parts;
  const changes: string[] = [];
  for (const key of (await directory.domainKeys()).filter((one) => one.domain === domain.name && one.state === 'next')) {
    const { name } = keyRecord(domain.name, publishedKey(key));
    const finding = findings.find((one) => one.name === name);
    // Every server shows it, and the resolver too: nobody who looks it up finds nothing.
    if (finding?.status === 'right' && finding.settled) changes.push(await activate(parts, key));
  }
  const paths = findings.filter((finding) => finding.purpose === 'return-path');
  const was = domain.returnPathVerifiedAtMs;
  const isRight = paths.every((finding) => finding.status === 'right');
  // A DNS that does not answer says nothing about the records: what was known stays.
  const isUnknown = paths.some((finding) => finding.status === 'unknown') && paths.every((finding) => finding.status === 'right' || finding.status === 'unknown');
  const verifiedAtMs = isRight ? (was ?? clock.nowMs()) : isUnknown ? was : null;
  if ((was === null) !== (verifiedAtMs === null)) {
    const text = verifiedAtMs === null ? 'is no longer used: its records are not right' : 'is used from now on';
    changes.push(`The return path ${domain.returnPath}.${domain.name} ${text}.`);
    log.info('domain.return-path', { domain: domain.name, used: verifiedAtMs !== null });
  }
  for (const { type, name, status, cause, fix } of findings) {
    if (domain.statuses[`${type} ${name}`] !== 'right' || status === 'right' || status === 'unknown') continue;
    log.warn('domain.record-broken', { domain: domain.name, record: `${type} ${name}`, failure: { code: `record-${status}`, cause, fix } });
  }
  const statuses = Object.fromEntries(findings.map(({ type, name, status }) => [`${type} ${name}`, status]));
  await directory.noteCheck(domain.name, { nowMs: clock.nowMs(), returnPathVerifiedAtMs: verifiedAtMs, statuses });
  return changes;
}

async function activate({ directory, clock, log, signatureLifetimeMs }: DomainsParts, key: DomainKey): Promise<string> {
  const nowMs = clock.nowMs();
  const removableAtMs = nowMs + signatureLifetimeMs();
  const before = (await directory.domainKeys()).find((one) => one.domain === key.domain && one.algorithm === key.algorithm && one.state === 'active');
  await directory.activateKey(key, { nowMs, removableAtMs });
  log.info('domain.key-activated', { domain: key.domain, selector: key.selector, algorithm: key.algorithm, before: before?.selector });
  const after =
    before === undefined
      ? ''
      : ` Leave the record of ${before.selector} where it is until ${new Date(removableAtMs).toISOString().slice(0, 10)}: mail that it signed is on the way.`;
  return `Selector ${key.selector} signs from now on.${after}`;
}

async function forgetRetired({ directory, clock, log }: DomainsParts): Promise<string[]> {
  const gone = await directory.forgetRetired(clock.nowMs());
  return gone.map(({ domain, selector }) => {
    log.info('domain.key-retired', { domain, selector, fix: `The record ${selector}._domainkey.${domain} may be removed from the DNS.` });
    return `The record ${selector}._domainkey.${domain} may be removed from the DNS.`;
  });
}

function underWay(domain: string, next: readonly DomainKey[]): PosternError {
  return new PosternError(
    {
      code: 'rotation-under-way',
      cause: `New keys of ${domain} wait to be published already (${next.map((key) => key.selector).join(', ')}).`,
      fix: `Publish their records and run "postern domain check ${domain}"; or call it off with "postern domain rotate ${domain} --cancel".`,
    },
    { exitCode: 1 },
  );
}

function noRotation(domain: string): PosternError {
  return new PosternError({ code: 'no-rotation', cause: `No new keys of ${domain} wait to be used.`, fix: `Make some first: "postern domain rotate ${domain}".` }, { exitCode: 1 });
}

/** One after the other. */
function openLine(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work, work);
    last = turn.catch(() => {});
    return turn;
  };
}
