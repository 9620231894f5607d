// What is done with a message once it has been judged: the author domain's wish, the operator's setting, and the few reasons to be milder. Pure.
// RFC 9989 5.4, 7.4; RFC 5321 4.5.1 (postmaster); RFC 8617 (a chain of a host that is trusted here).

import type { ArcVerdict } from '#mail/arc/verify.ts';
import type { DmarcVerdict } from '#mail/dmarc/evaluate.ts';
import type { Address } from '#smtp/address.ts';

export type DmarcMode = 'reject' | 'quarantine' | 'off';

export type Circumstances = {
  readonly mode: DmarcMode;
  readonly dmarc: DmarcVerdict;
  readonly arc: ArcVerdict;
  /** The domain of the mailing list that passed the message on and signed it; null: none did. */
  readonly list: string | null;
  /** Domains whose seals are believed. */
  readonly trustedSealers: readonly string[];
  readonly recipients: readonly Address[];
  /** Only an answer to mail of ours can know the recipients. */
  readonly proved: boolean;
  /** The From field says nothing that could be forged: there is none, or no address in it. */
  readonly anonymous: boolean;
};

/** `why` is a phrase for people; empty when a message is accepted without more ado. */
export type Disposition = { readonly what: 'accepted' | 'quarantined' | 'rejected' | 'deferred'; readonly why: string };

/** Those who must be reachable by the very people whose mail is refused (RFC 5321 4.5.1, RFC 2142 4). */
const ROLES = new Set(['postmaster', 'abuse']);

export function dispositionOf(of: Circumstances): Disposition {
  const { mode, dmarc } = of;
  if (mode === 'off') return accepted('');
  switch (dmarc.result) {
    case 'pass':
    case 'none':
      return accepted('');
    case 'permerror':
      // Without any author nobody's name is misused; with several, readers may be shown another than the one that was checked.
      return of.anonymous && !of.proved ? { what: 'quarantined', why: dmarc.reason } : refused(of, dmarc.reason);
    case 'temperror':
      return undecided(of);
    case 'fail':
      return failed(of);
  }
}

function failed(of: Circumstances): Disposition {
  const { dmarc, arc, trustedSealers } = of;
  if (dmarc.policy === 'none' || dmarc.policy === null) return accepted('');
  const sealer = arc.sealers.at(-1);
  if (arc.result === 'pass' && sealer !== undefined && trustedSealers.includes(sealer) && /\bdmarc\s*=\s*pass\b/i.test(arc.claimed ?? '')) {
    return accepted(`${sealer}, whose seals are trusted here, found that it passed DMARC`);
  }
  if (dmarc.policy !== 'reject') return { what: 'quarantined', why: dmarc.reason };
  // Lists change what they pass on, and for a refusal their subscribers are struck off (RFC 9989 7.4).
  if (of.list !== null) return { what: 'quarantined', why: `${dmarc.reason}; but the mailing list of ${of.list} signed it` };
  return refused(of, dmarc.reason);
}

/** The policy is known, but whether it applies is not: another time it will be. A policy that is not known applies to nothing. */
function undecided({ mode, dmarc, arc }: Circumstances): Disposition {
  const strict = dmarc.policy === 'reject' || (dmarc.policy === 'quarantine' && !arc.temporary);
  return mode === 'reject' && strict ? { what: 'deferred', why: dmarc.reason } : accepted('');
}

function refused({ mode, recipients, proved }: Circumstances, why: string): Disposition {
  if (proved) return accepted(`${why}; but it answers mail of ours`);
  const roles = recipients.length > 0 && recipients.every((recipient) => ROLES.has(recipient.local.toLowerCase()));
  return mode === 'reject' && !roles ? { what: 'rejected', why } : { what: 'quarantined', why };
}

function accepted(why: string): Disposition {
  return { what: 'accepted', why };
}
