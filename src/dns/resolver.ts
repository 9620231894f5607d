// The stub resolver as everyone sees it: answers with TTL and the AD flag, or the kind of failure. RFC 1035, 6891, 4035 3.2.3.

/** `name` is always the queried name, canonical. `authenticated` is the AD flag of a resolver trusted for it. */
export type DnsAnswer<T> =
  | { readonly status: 'found'; readonly records: readonly T[]; readonly authenticated: boolean; readonly ttlSeconds: number }
  | { readonly status: 'no-data' | 'no-domain'; readonly authenticated: boolean; readonly ttlSeconds: number }
  | { readonly status: 'failed'; readonly cause: 'timeout' | 'servfail' | 'refused' | 'malformed' | 'unreachable' | 'bad-name'; readonly detail: string };

export type MxRecord = { readonly preference: number; readonly exchange: string };
export type TlsaRecord = { readonly usage: number; readonly selector: number; readonly matchingType: number; readonly data: Buffer };

export type Resolver = {
  a(name: string): Promise<DnsAnswer<string>>;
  aaaa(name: string): Promise<DnsAnswer<string>>;
  mx(name: string): Promise<DnsAnswer<MxRecord>>;
  txt(name: string): Promise<DnsAnswer<string>>;
  cname(name: string): Promise<DnsAnswer<string>>;
  ptr(address: string): Promise<DnsAnswer<string>>;
  tlsa(name: string): Promise<DnsAnswer<TlsaRecord>>;
  close(): void;
};
