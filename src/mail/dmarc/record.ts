// A DMARC policy record read: what a domain asks to be done with mail that fails. Tolerant where the RFC is: a tag that is wrong counts as
// absent. RFC 9989 4.7, 4.8, 4.10.1.

export type DmarcPolicy = 'none' | 'quarantine' | 'reject';

export type DmarcRecord = {
  readonly policy: DmarcPolicy;
  readonly subdomains: DmarcPolicy | null;
  readonly nonExistent: DmarcPolicy | null;
  readonly strictDkim: boolean;
  readonly strictSpf: boolean;
  /** `y`: a public suffix. `n`: an organization of its own. `u`: not said. */
  readonly psd: 'y' | 'n' | 'u';
  /** The domain tries its policy out: it is to be taken one step milder. */
  readonly testing: boolean;
  /** A policy was given that is none, and no address for reports that would make sense of the record: it applies to nothing. */
  readonly unusable: boolean;
};

const MAX_CHARACTERS = 8192;
const POLICIES: ReadonlySet<string> = new Set(['none', 'quarantine', 'reject']);

/** The record, or null when the text is no DMARC record: `v=DMARC1` comes first, exactly so. */
export function parseDmarcRecord(text: string): DmarcRecord | null {
  if (text.length > MAX_CHARACTERS || !/^[vV][ \t]*=[ \t]*DMARC1[ \t]*(?:;|$)/.test(text)) return null;
  const tags = new Map<string, string>();
  for (const part of text.split(';').slice(1)) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0)).trim().toLowerCase();
    if (name !== '' && !tags.has(name)) tags.set(name, part.slice(equals + 1).trim());
  }
  const word = (name: string): string => (tags.get(name) ?? '').toLowerCase();
  const policy = policyOf(word('p'));
  const subdomains = policyOf(word('sp'));
  const nonExistent = policyOf(word('np'));
  // Not a valid p=, or an sp= or np= that is none: with an address for reports the record counts as p=none, else as nothing.
  const broken = policy === null || (tags.has('sp') && subdomains === null) || (tags.has('np') && nonExistent === null);
  const psd = word('psd');
  return {
    policy: broken ? 'none' : policy,
    subdomains: broken ? null : subdomains,
    nonExistent: broken ? null : nonExistent,
    strictDkim: word('adkim') === 's',
    strictSpf: word('aspf') === 's',
    psd: psd === 'y' || psd === 'n' ? psd : 'u',
    // `pct=0` said before RFC 9989 what `t=y` says now (A.6); other shares were never reliable and are not rolled for.
    testing: word('t') === 'y' || (!tags.has('t') && word('pct') === '0'),
    unusable: broken && !/(?:^|,)\s*[a-z][a-z0-9+.-]*:[^\s,]/i.test(tags.get('rua') ?? ''),
  };
}

function policyOf(word: string): DmarcPolicy | null {
  return POLICIES.has(word) ? (word as DmarcPolicy) : null;
}
