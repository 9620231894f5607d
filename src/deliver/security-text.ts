// What it means when a mail host does not give the security that a policy requires: class, cause and fix, naming the policy, what was expected
// and what was there. Pure.

import type { ClientFailure } from '#smtp/client.ts';
import type { Explanation } from '#knowledge/explain.ts';
import type { Decision, Required } from '#tls/policy.ts';
import { formatTlsa } from '#tls/tlsa.ts';
import type { Judged } from './connector.ts';

export type Insecurity = { readonly host: string; readonly port: number | null; readonly failure: ClientFailure; readonly judged: Judged | null };

const MAX_RECORDS = 4;
const RECORD_CHARACTERS = 140;

/** The explanation, or null where the failure has nothing to do with what is required. */
export function explainSecurity(decision: Extract<Decision, { required: Required }>, { host, port, failure, judged }: Insecurity): Explanation | null {
  const { required, why, policy } = decision;
  if (required.level === 'off' || required.level === 'opportunistic') return null;
  const because = `Mail for ${host} must be encrypted: ${why}.`;
  if (failure.code === 'ERR_NO_STARTTLS') {
    return {
      class: 'tls-required',
      cause: `${because} ${host} port ${port} does not offer STARTTLS: it is misconfigured, or something on the way takes the offer out. Nothing was sent.`,
      fix: `The message waits and is tried again. Ask whoever runs ${host}; look for a firewall that inspects SMTP. ${override(policy)}`,
    };
  }
  if (failure.phase === 'starttls' && failure.reply !== null) {
    return {
      class: 'tls-required',
      cause: `${because} ${host} port ${port} refuses STARTTLS: ${failure.reply.code} ${failure.reply.lines.join(' ')}.`,
      fix: `The message waits and is tried again. Ask whoever runs ${host}. ${override(policy)}`,
    };
  }
  if (failure.kind !== 'tls') return null;
  if (judged === null || judged.problem === null) {
    return {
      class: 'tls-handshake-failed',
      cause: `${because} The TLS handshake with ${host} port ${port} fails: ${failure.text}.`,
      fix: `The message waits and is tried again. The server must speak TLS 1.2 or 1.3. ${override(policy)}`,
    };
  }
  return {
    class: required.level === 'dane' ? 'dane-mismatch' : policy === 'mta-sts' ? 'mta-sts-certificate' : 'certificate-policy',
    cause: `Certificate of ${host} refused: ${why}. Expected: ${expected(required)}. Presented: ${judged.presented}. ${sentence(judged.verdict)}`,
    fix: `The message waits and is tried again. ${required.level === 'dane' ? `Whoever runs ${host} has to publish the TLSA record of its present certificate, or bring back the right certificate.` : `Whoever runs ${host} has to renew or replace the certificate; an authority of your own is named in delivery.ca_file.`} ${override(policy)}`,
  };
}

/** A host that must not be used at all. */
export function explainRefusal(decision: Extract<Decision, { refused: unknown }>, host: string): Explanation {
  const cause = `${host} is not used: ${decision.why}.`;
  const { policy } = decision;
  switch (decision.refused) {
    case 'dane-lookup-failed':
      return {
        class: decision.refused,
        cause,
        fix: `The message waits and is tried again: without an answer it might go to the wrong host. Whoever runs the DNS of ${host} has to mend it (a broken DNSSEC signature, or a server that does not answer for TLSA); check the resolver if it happens for all domains. ${override(policy)}`,
      };
    case 'dane-required':
      return {
        class: decision.refused,
        cause,
        fix: 'The receiver has to sign its zones and publish TLSA records; or require less in [[tls_policy]]. It is tried again by itself.',
      };
    case 'mta-sts-mx-mismatch':
      return {
        class: decision.refused,
        cause,
        fix: `The message waits and is tried again. The domain has to list the host in its policy, or correct its MX records; somebody may also be forging the MX answer. ${override(policy)}`,
      };
    case 'requiretls-mx-unverified':
      return { class: decision.refused, cause, fix: 'Send without REQUIRETLS, or ask the receiver to publish an MTA-STS policy or to sign its zone.' };
  }
}

function expected(required: Required): string {
  if (required.level === 'dane') {
    const records = required.set.usable.map(formatTlsa).map((text) => (text.length > RECORD_CHARACTERS ? `${text.slice(0, RECORD_CHARACTERS)}...` : text));
    const shown = records.slice(0, MAX_RECORDS).join(' or ');
    return `a certificate that matches ${shown}${records.length > MAX_RECORDS ? ` or one of ${records.length - MAX_RECORDS} more` : ''}`;
  }
  return required.level === 'verified' ? `a certificate for ${required.names.join(' or ')} from a trusted authority` : 'any certificate';
}

function override(policy: Decision['policy']): string {
  if (policy === 'configured') return 'The requirement is in [[tls_policy]].';
  if (policy === 'requiretls') return 'The sender may send without REQUIRETLS.';
  return 'To send all the same, add [[tls_policy]] with match = "DOMAIN" and require = "opportunistic".';
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
