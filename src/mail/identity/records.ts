// What a domain has to publish so that its mail passes everywhere: the records, each with what it is for. Pure; knows neither how they are
// shown nor whether they are there. RFC 7208 (SPF), RFC 6376 3.6.1 and 8463 (DKIM), RFC 7489 (DMARC), RFC 8461 3.1, RFC 8460 3.

export type Purpose = 'spf' | 'dkim-rsa' | 'dkim-ed25519' | 'dmarc' | 'return-path' | 'mx' | 'mta-sts' | 'tls-rpt';

/** `name` has no final dot; a TXT value is one text, however many strings it takes in a zone file. */
export type DnsRecord = { readonly type: 'TXT' | 'MX' | 'CNAME'; readonly name: string; readonly value: string; readonly purpose: Purpose };

export type PublishedKey = { readonly selector: string; readonly keyType: 'rsa' | 'ed25519'; readonly publicBytes: Buffer };

export type PublishedDomain = {
  readonly name: string;
  /** This server takes its mail. */
  readonly inbound: boolean;
  readonly returnPath: string;
  /** All whose record has to be there: those that sign, those to come, those that are going. */
  readonly keys: readonly PublishedKey[];
};

/** For people: what a record is for. */
export const PURPOSES: Readonly<Record<Purpose, string>> = {
  spf: 'SPF: which servers may send as the domain',
  'dkim-rsa': 'DKIM: the public key of the RSA signatures',
  'dkim-ed25519': 'DKIM: the public key of the Ed25519 signatures',
  dmarc: 'DMARC: what receivers do with mail that fails, and where they report',
  'return-path': 'Return path: bounces come back here, and SPF aligns with the From header',
  mx: 'MX: this server takes the mail of the domain',
  'mta-sts': 'MTA-STS: senders must use verified TLS',
  'tls-rpt': 'TLS reports: where senders report failed TLS',
};

/** What is said for all domains. `hostname` is this server's name, which has to have an address record. `stsId`: of the MTA-STS policy; null: none is served. */
export type PublishedServer = { readonly hostname: string; readonly stsId: string | null };

export function publishedRecords(domain: PublishedDomain, { hostname, stsId }: PublishedServer): DnsRecord[] {
  const { name } = domain;
  const bounce = bounceDomain(domain);
  const records: DnsRecord[] = [
    // Softfail: with -all some receivers refuse before they look at DKIM, and forwarded mail is lost (RFC 7489 10.1).
    { type: 'TXT', name, value: `v=spf1 a:${hostname} ~all`, purpose: 'spf' },
    ...domain.keys.map((key) => keyRecord(name, key)),
    { type: 'TXT', name: `_dmarc.${name}`, value: `v=DMARC1; p=none; rua=mailto:postmaster@${name}`, purpose: 'dmarc' },
    { type: 'MX', name: bounce, value: `10 ${hostname}`, purpose: 'return-path' },
    { type: 'TXT', name: bounce, value: `v=spf1 a:${hostname} -all`, purpose: 'return-path' },
  ];
  if (!domain.inbound) return records;
  return [
    ...records,
    { type: 'MX', name, value: `10 ${hostname}`, purpose: 'mx' },
    ...(stsId === null
      ? []
      : ([
          { type: 'TXT', name: `_mta-sts.${name}`, value: `v=STSv1; id=${stsId};`, purpose: 'mta-sts' },
          { type: 'CNAME', name: `mta-sts.${name}`, value: hostname, purpose: 'mta-sts' },
        ] as const)),
    { type: 'TXT', name: `_smtp._tls.${name}`, value: `v=TLSRPTv1; rua=mailto:postmaster@${name}`, purpose: 'tls-rpt' },
  ];
}

/** Where bounces of the domain's mail come back to. */
export function bounceDomain(domain: { readonly name: string; readonly returnPath: string }): string {
  return `${domain.returnPath}.${domain.name}`;
}

export function keyRecord(domain: string, key: PublishedKey): DnsRecord {
  const { selector, keyType, publicBytes } = key;
  return {
    type: 'TXT',
    name: `${selector}._domainkey.${domain}`,
    value: `v=DKIM1; k=${keyType}; p=${publicBytes.toString('base64')}`,
    purpose: keyType === 'rsa' ? 'dkim-rsa' : 'dkim-ed25519',
  };
}
