// The certificate, point by point: dates, name, chain, key, and whether a client without SNI is shown the same. RFC 5280, RFC 9525.

import { isIP } from 'node:net';
import type { CertificateFacts, TlsFacts } from '#doctor/probes/certificates.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';
import type { Status, Verdict } from '#doctor/report.ts';
import type { PortCheck } from './check.ts';
import { shortened } from './handshake.ts';

const DAY_MS = 86_400_000;
const SOON_DAYS = 14;

function shown(evidence: PortEvidence): TlsFacts | null {
  return evidence.tls !== null && 'value' in evidence.tls && evidence.tls.value.chain.length > 0 ? evidence.tls.value : null;
}

/** Servers hand mail over whatever certificate they see; clients must not. */
function severity({ role }: PortEvidence): Status {
  return role === 'mx' ? 'warn' : 'fail';
}

const day = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);

export const certificateDates: PortCheck = {
  id: 'certificate-expiry',
  title: 'certificate dates',
  judge(evidence) {
    const facts = shown(evidence);
    if (facts === null) return null;
    const nowMs = Date.now();
    const expired = facts.chain.find((one) => one.notAfterMs <= nowMs && (one === facts.chain[0] || !one.selfSigned));
    if (expired !== undefined)
      return {
        status: severity(evidence),
        title: 'certificate expired',
        evidence: `${expired.subject}: valid until ${day(expired.notAfterMs)}, ${Math.floor((nowMs - expired.notAfterMs) / DAY_MS)} days ago`,
        cause: expired === facts.chain[0] ? 'The certificate has expired: clients that verify it refuse to connect.' : 'An intermediate certificate in the chain has expired.',
        fix: 'Renew the certificate (ACME renews by itself) and have the server load it; check that it was reloaded after the last renewal.',
      };
    const early = facts.chain.find((one) => one.notBeforeMs > nowMs);
    if (early !== undefined)
      return {
        status: severity(evidence),
        title: 'certificate not valid yet',
        evidence: `${early.subject}: valid from ${day(early.notBeforeMs)}`,
        cause: 'The certificate is not valid yet, or the clock of this machine is wrong.',
        fix: 'Check the clocks of both machines; use the certificate from its first day on.',
      };
    const [leaf] = facts.chain;
    const left = Math.floor(((leaf?.notAfterMs ?? 0) - nowMs) / DAY_MS);
    const text = `valid until ${day(leaf?.notAfterMs ?? 0)} (${left} days left)`;
    // Short-lived certificates of authorities are always near their end: a third of the life is what renewal waits for. One that nobody vouches for is
    // renewed by hand.
    const life = facts.problem === null ? ((leaf?.notAfterMs ?? 0) - (leaf?.notBeforeMs ?? 0)) / DAY_MS : Infinity;
    if (left < Math.min(SOON_DAYS, life / 4))
      return {
        status: 'warn',
        title: 'certificate expires soon',
        evidence: text,
        cause: `The certificate ends in ${left} days.`,
        fix: 'Renew it now, and see why it was not renewed by itself.',
      };
    return { status: 'pass', evidence: text };
  },
};

export const certificateName: PortCheck = {
  id: 'certificate-name',
  title: 'certificate name',
  judge(evidence) {
    const facts = shown(evidence);
    if (facts === null) return null;
    const { host, handshakes } = evidence;
    const names = facts.chain[0]?.names ?? [];
    const text = names.length === 0 ? `no names (subject ${facts.chain[0]?.subject})` : names.join(', ');
    if (!facts.nameMatches)
      return {
        status: severity(evidence),
        title: 'certificate is for another name',
        evidence: `asked for ${host}; the certificate is for ${text}`,
        cause: names.length === 0 ? `The certificate has no subject alternative name; the common name no longer counts (RFC 9525).` : `The certificate does not name ${host}.`,
        fix:
          names.length === 0
            ? `Have a certificate issued with ${host} as DNS name.`
            : `Connect by a name in it (${names.slice(0, 3).join(', ')}), or have one issued that names ${host}; if the server has several, let it choose by SNI.`,
      };
    const bare = handshakes?.withoutSni ?? null;
    if (bare !== null && 'refused' in bare && isIP(host) === 0)
      return {
        status: 'warn',
        title: 'no TLS without SNI',
        evidence: `${text}; a handshake without SNI: ${shortened(bare.refused)}`,
        cause: 'Clients that do not send the name of the host in the handshake (SNI) get no TLS here: old libraries, and many mail servers that hand mail over.',
        fix: 'Give the server a default certificate for whoever sends no name (HAProxy: no strict-sni; Postfix: smtpd_tls_chain_files beside tls_server_sni_maps).',
      };
    if (bare !== null && 'facts' in bare && !bare.facts.nameMatches)
      return { status: 'pass', evidence: `${text}; by SNI only: without it the server shows ${bare.facts.chain[0]?.names.join(', ') || bare.facts.chain[0]?.subject}` };
    return { status: 'pass', evidence: text };
  },
};

export const certificateChain: PortCheck = {
  id: 'certificate-chain',
  title: 'certificate chain',
  judge(evidence) {
    const facts = shown(evidence);
    if (facts === null) return null;
    const [leaf] = facts.chain;
    const chain = facts.chain.map(({ subject, issuer }) => `${subject}  <-  ${issuer}`).join('\n');
    const status = severity(evidence);
    switch (facts.problem) {
      case null:
      // Judged by the other checks; OpenSSL comes to dates and names after the chain held.
      case 'ERR_TLS_CERT_ALTNAME_INVALID':
      case 'CERT_HAS_EXPIRED':
      case 'CERT_NOT_YET_VALID':
        if (leaf?.selfSigned === true && facts.problem !== null) break;
        return { status: 'pass', evidence: chain };
      // OpenSSL stops at keys and signatures below its security level, which has no name in Node: judged by certificate-key.
      case 'UNSPECIFIED':
        if (weakest(facts) !== undefined) return { status: 'pass', evidence: chain };
        return unverified(facts.problem, chain, status);
      case 'DEPTH_ZERO_SELF_SIGNED_CERT':
        break;
      case 'SELF_SIGNED_CERT_IN_CHAIN':
        return {
          status,
          title: 'certificate of an unknown authority',
          evidence: chain,
          cause: 'The chain ends in a root that this machine does not trust: a private authority, or an old CA bundle here.',
          fix: 'Use a certificate of a public authority; or give clients the root (update the CA bundle, ca_file).',
        };
      case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
      case 'UNABLE_TO_GET_ISSUER_CERT':
        return {
          status,
          title: 'certificate chain incomplete',
          evidence: `${chain}\nnot sent, and not known here: ${facts.chain.at(-1)?.issuer}`,
          cause: 'The server does not send the intermediate certificate that leads to a trusted root (or the authority is not known on this machine).',
          fix: 'Configure the full chain on the server: leaf first, then every intermediate (fullchain.pem rather than cert.pem).',
        };
      default:
        return unverified(facts.problem, chain, status);
    }
    return {
      status,
      title: 'certificate is self-signed',
      evidence: chain,
      cause: 'The certificate is signed by itself: nobody vouches for it, and clients that verify refuse it.',
      fix: 'Use a certificate of a public authority (ACME gives them for nothing); for inner use have clients trust this one explicitly.',
    };
  },
};

function unverified(problem: string, chain: string, status: Status): Verdict {
  return {
    status,
    title: 'certificate does not verify',
    evidence: `${problem}\n${chain}`,
    cause: `The chain does not verify: ${problem}.`,
    fix: 'Have the certificate issued anew by a public authority and install its full chain.',
  };
}

/** The first certificate that is too weak; a root is believed by itself, not by its signature. */
function weakest({ chain }: TlsFacts): CertificateFacts | undefined {
  return chain.find((one) => one.weakKey !== null && (one === chain[0] || !one.selfSigned));
}

export const certificateKey: PortCheck = {
  id: 'certificate-key',
  title: 'certificate key',
  judge(evidence) {
    const facts = shown(evidence);
    if (facts === null) return null;
    const weak = weakest(facts);
    if (weak !== undefined)
      return {
        status: severity(evidence),
        title: 'weak certificate',
        evidence: `${weak.subject}: ${weak.weakKey}`,
        cause: 'The key or the signature is weaker than clients accept today: some refuse the handshake.',
        fix: 'Have it issued with ECDSA P-256, or RSA of 2048 bits or more, signed with SHA-256.',
      };
    return { status: 'pass', evidence: facts.chain[0]?.key ?? '' };
  },
};
