// How TLS is had on a port: STARTTLS offered and working, implicit TLS, and what a client that merely prefers TLS would have sent in the clear.
// RFC 3207, RFC 8314.

import { replyText } from '#doctor/probes/conversation.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';
import { isSubmission, ms } from './check.ts';
import type { PortCheck } from './check.ts';
import { handshakeCause, oldVersions, shortened } from './handshake.ts';

export const starttls: PortCheck = {
  id: 'starttls',
  title: 'STARTTLS',
  judge(evidence) {
    const { capabilities, starttls: step, tls, mode, port, role } = evidence;
    if (capabilities === null || role === 'submissions' || mode === 'implicit') return null;
    if (mode === 'none') {
      const proof = strippedProof(evidence);
      if (proof !== null)
        return {
          status: 'fail',
          title: 'STARTTLS is stripped: the server has it, and EHLO does not say so',
          evidence: `EHLO offers ${[...capabilities.keywords.keys()].join(' ') || 'nothing'}; ${proof}`,
          cause:
            'A proxy, firewall or virus scanner on the way takes STARTTLS out of the answer, so that clients go on in the clear and can be read (or the server itself is told to hide it: Postfix smtpd_discard_ehlo_keywords).',
          fix: 'Use 465; switch off SMTP inspection on the firewall or scanner; ask from another network to see who does it; have clients require TLS, so that they stop instead.',
        };
      const submission = isSubmission(evidence);
      return {
        status: submission ? 'fail' : 'warn',
        title: 'STARTTLS is not offered',
        evidence: `EHLO offers ${[...capabilities.keywords.keys()].join(' ') || 'nothing'}`,
        cause: `The server does not offer STARTTLS on port ${port}, or something on the way removes it (stripping): ${submission ? 'passwords and mail would go in the clear.' : 'mail arrives here in the clear.'}`,
        fix: submission
          ? 'Enable TLS on the server (Postfix: smtpd_tls_security_level = encrypt), or use 465. If the server does offer it when asked from elsewhere, the network strips it: use 465 and have the network looked at.'
          : 'Enable TLS on the server (Postfix: smtpd_tls_security_level = may with a certificate). If it is offered when asked from elsewhere, something on the way strips it.',
      };
    }
    if (step === null) return null;
    const durationMs = step.ms;
    if ('failure' in step)
      return {
        status: 'fail',
        title: 'STARTTLS offered, not answered',
        evidence: step.failure.text,
        cause: 'The server offers STARTTLS and breaks off when it is asked for.',
        fix: 'Look at the log of the server: usually its certificate or key cannot be read.',
        durationMs,
      };
    if (step.value.code !== 220)
      return {
        status: 'fail',
        title: 'STARTTLS offered, but refused',
        evidence: replyText(step.value),
        cause: 'The server offers STARTTLS and refuses it when asked: usually it has no usable certificate (454 TLS not available).',
        fix: 'Look at the log of the server; check certificate, key, and their permissions.',
        durationMs,
      };
    if (tls !== null && 'failure' in tls)
      return {
        status: 'fail',
        title: 'STARTTLS granted, but no handshake comes about',
        evidence: `${replyText(step.value)}\nthen: ${shortened(tls.failure.text)}`,
        ...handshakeCause(tls.failure, evidence.handshakes),
        durationMs: durationMs + tls.ms,
      };
    return { status: 'pass', evidence: replyText(step.value), durationMs };
  },
};

/** What shows that STARTTLS is there, though it is not offered: it is granted, or demanded. */
function strippedProof({ starttls: step, relay }: PortEvidence): string | null {
  if (step !== null && 'value' in step && step.value.code === 220) return `STARTTLS is answered with "${replyText(step.value)}"`;
  const demand = relay?.find(({ reply }) => reply.startsWith('530') && /starttls/i.test(reply));
  return demand === undefined ? null : `MAIL is answered with "${demand.reply}"`;
}

export const tls: PortCheck = {
  id: 'tls',
  title: 'TLS handshake',
  judge({ tls: step, mode, role, port, greeting, handshakes }) {
    if (step === null) return null;
    const durationMs = step.ms;
    if ('value' in step) {
      const { protocol, cipher } = step.value;
      const weakness = weaknessOf(cipher);
      return weakness !== null
        ? {
            status: 'warn',
            title: 'weak cipher',
            evidence: `${protocol} ${cipher}`,
            cause: weakness,
            fix: 'Allow AEAD ciphers with ECDHE (AES-GCM, ChaCha20) on the server and put them first.',
            durationMs,
          }
        : { status: 'pass', evidence: `${protocol} ${cipher}, handshake in ${ms(step.ms)}`, durationMs };
    }
    // A failed handshake after STARTTLS is told by that check.
    if (role !== 'submissions') return null;
    if (greeting !== null && 'value' in greeting)
      return {
        status: 'fail',
        title: `port ${port} speaks in the clear`,
        evidence: `a plain connection is greeted with "${replyText(greeting.value)}"; a TLS handshake: ${shortened(step.failure.text)}`,
        cause: `Port ${port} is for TLS from the first byte, but the server speaks plain SMTP there${mode === 'starttls' ? ' and offers STARTTLS' : ''}.`,
        fix: `Have the server wrap port ${port} in TLS (Postfix: smtpd_tls_wrappermode = yes), or use STARTTLS on 587.`,
        durationMs,
      };
    return { status: 'fail', title: 'TLS handshake failed', evidence: shortened(step.failure.text), ...handshakeCause(step.failure, handshakes), durationMs };
  },
};

function weaknessOf(cipher: string): string | null {
  if (/RC4|3DES|DES[-_]CBC|NULL|EXP|MD5|anon/i.test(cipher)) return 'The cipher that was agreed on is broken: what is sent can be read or changed.';
  if (cipher.startsWith('TLS_RSA_WITH_'))
    return 'The cipher that was agreed on has no forward secrecy: whoever gets the key of the server later can read what was recorded before.';
  return null;
}

export const downgrade: PortCheck = {
  id: 'downgrade',
  title: 'what a client that only prefers TLS would send in the clear',
  judge(evidence) {
    const { capabilities, mode, starttls: step, tls: shaken } = evidence;
    if (mode === 'implicit') return { status: 'pass', evidence: 'nothing: TLS comes before the first byte' };
    if (capabilities === null) return null;
    const works = step !== null && 'value' in step && step.value.code === 220 && shaken !== null && 'value' in shaken;
    if (works)
      return {
        status: 'pass',
        evidence: 'EHLO and its own host name; then STARTTLS takes over. (If something on the way removed STARTTLS, it would send the rest too: require it.)',
      };
    const { auth } = capabilities;
    const sent = wouldSend(auth);
    return {
      status: isSubmission(evidence) ? 'fail' : 'warn',
      title: auth.length > 0 ? 'a client that only prefers TLS sends its password in the clear' : 'a client that only prefers TLS sends its mail in the clear',
      evidence: sent,
      cause: 'TLS cannot be had here, and clients with opportunistic TLS go on without a word.',
      fix: 'Set clients to require TLS (STARTTLS required, or 465); mend TLS on the server.',
    };
  },
};

function wouldSend(auth: readonly string[]): string {
  const mail = 'MAIL FROM:<...>, RCPT TO:<...>, DATA and the whole message, readable by everyone on the way';
  if (auth.length === 0) return mail;
  const login = auth.includes('PLAIN') ? 'AUTH PLAIN AHVzZXIAcGFzc3dvcmQ= (user and password in Base64, which is no encryption)' : `AUTH ${auth[0]} with the answers to it`;
  return `${login}, then ${mail}`;
}

export const injection: PortCheck = {
  id: 'injection',
  title: 'commands injected before TLS',
  judge({ injection: probe }) {
    if (probe === null) return null;
    if (probe.result === 'run')
      return {
        status: 'fail',
        title: 'commands sent before TLS are run after it',
        evidence: probe.evidence,
        cause: 'What comes in the clear behind STARTTLS is kept and run inside of TLS: somebody on the way can put commands into a protected session (CVE-2011-0411).',
        fix: 'Update the server: it must drop its input buffer when TLS begins. Until then offer 465 only.',
        durationMs: probe.ms,
      };
    if (probe.result === 'turned-away') return { status: 'skip', evidence: probe.evidence, durationMs: probe.ms };
    return { status: 'pass', evidence: probe.result === 'dropped' ? probe.evidence : `the server ended or refused it:\n${probe.evidence}`, durationMs: probe.ms };
  },
};

export const versions: PortCheck = {
  id: 'tls-versions',
  title: 'TLS versions',
  judge({ handshakes }: PortEvidence) {
    if (handshakes === null || !handshakes.versions.some(({ result }) => result === 'accepted')) return null;
    const words = { accepted: 'yes', refused: 'no', unknown: 'not found out' };
    const evidence = handshakes.versions.map(({ version, result, cipher }) => `${version} ${words[result]}${cipher === '' ? '' : ` (${cipher})`}`).join(', ');
    const { old, only } = oldVersions(handshakes);
    const names = old.join(' and ');
    const fix = 'Allow TLS 1.2 and 1.3 only (Postfix: smtpd_tls_protocols = >=TLSv1.2; Exim: tls_require_ciphers; Dovecot: ssl_min_protocol = TLSv1.2).';
    if (only)
      return {
        status: 'fail',
        title: `only ${names} is accepted`,
        evidence,
        cause: `The server takes nothing newer than ${old.at(-1)}: clients of today refuse to connect (RFC 8996).`,
        fix,
      };
    if (old.length > 0)
      return { status: 'warn', title: `${names} ${old.length > 1 ? 'are' : 'is'} accepted`, evidence, cause: 'TLS 1.0 and 1.1 have been deprecated since RFC 8996 (2021).', fix };
    if (!handshakes.versions.some(({ version, result }) => version === 'TLSv1.3' && result !== 'refused'))
      return { status: 'pass', evidence: `${evidence} (1.3 would be faster and stronger; 1.2 is enough)` };
    return { status: 'pass', evidence };
  },
};
