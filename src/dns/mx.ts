// From a recipient domain to the hosts that take its mail (RFC 5321 5.1, RFC 7505).

/** One exchange with its addresses, in the order to try. `failure` is set when its addresses could not be found for now. */
export type MxHost = { readonly host: string; readonly preference: number };

/**
 * Where a domain's mail goes. `implicit` is the A/AAAA fallback; `null-mx` refuses mail; `unusable` means MX records whose names are
 * not host names. `authenticated`: the MX answer was DNSSEC-validated.
 */
export type MxAnswer =
  | { readonly status: 'found'; readonly hosts: readonly MxHost[]; readonly implicit: boolean; readonly authenticated: boolean }
  | { readonly status: 'no-domain' | 'null-mx' | 'unusable'; readonly detail: string }
  | { readonly status: 'failed'; readonly detail: string };
