// The first words: the greeting (RFC 5321 3.1) and the answer to EHLO, every capability explained.

import { replyText } from '#doctor/probes/conversation.ts';
import { explainCapability } from './capabilities.ts';
import { ms } from './check.ts';
import type { PortCheck } from './check.ts';
import { shortened } from './handshake.ts';

const SLOW_MS = 3000;

export const greeting: PortCheck = {
  id: 'banner',
  title: 'greeting',
  judge({ greeting: step, mode, port, role, host }) {
    if (step === null) return null;
    const durationMs = step.ms;
    if ('failure' in step) {
      const { failure } = step;
      // Silence in the clear, and a handshake that works all the same.
      if (mode === 'implicit' && role === 'submission')
        return {
          status: 'fail',
          title: 'TLS expected from the first byte',
          evidence: `no greeting in the clear, but a TLS handshake works`,
          cause: `Port ${port} speaks implicit TLS, where STARTTLS is expected.`,
          fix: `Set the client to implicit TLS ("SSL/TLS") on this port; or have the server speak STARTTLS on ${port} and implicit TLS on 465.`,
          durationMs,
        };
      if (/certificate required/i.test(failure.text))
        return {
          status: 'fail',
          title: 'a client certificate is wanted',
          evidence: shortened(failure.text),
          cause: 'The server ends the connection because the client shows no certificate of its own (mutual TLS): only clients it has given one get in.',
          fix: 'Set up the client with a certificate that this server trusts; or have the server not demand one here (stunnel: verifyChain = no; Postfix: smtpd_tls_req_ccert = no).',
          durationMs,
        };
      const late = failure.kind === 'timeout';
      return {
        status: 'fail',
        title: late ? 'no greeting' : failure.kind === 'protocol' ? 'not an SMTP server' : 'connection closed at once',
        evidence: failure.text,
        cause: late
          ? `The connection is open, but ${host} says nothing: the server is overloaded, delays strangers (tarpit), awaits a PROXY header (it is set up to stand behind a balancer), or something else listens on port ${port}.`
          : failure.kind === 'protocol'
            ? `What listens on port ${port} does not speak SMTP.`
            : `${host} takes the connection and closes it without a word: a firewall, a blocklist or an access rule (TCP wrappers) turns this address away, or the server behind a balancer is down.`,
        fix: late
          ? 'Look at the load and the log of the server, and at what it expects of a balancer (Postfix: smtpd_upstream_proxy_protocol; Exim: hosts_proxy); a client should wait up to 5 minutes for the greeting (RFC 5321 4.5.3.2.1).'
          : 'Look at the log of the server and its access rules; check that the port is the one of the mail server.',
        durationMs,
      };
    }
    const evidence = replyText(step.value);
    if (step.value.code === 220) {
      if (step.ms > SLOW_MS)
        return {
          status: 'warn',
          title: 'slow greeting',
          evidence: `${evidence} (after ${ms(step.ms)})`,
          cause: 'The greeting comes late: the server delays strangers (tarpit), looks up the name of this address in a DNS that does not answer, or is overloaded.',
          fix: 'Give the address a PTR record; check the resolver of the server; let clients wait at least 60 seconds.',
          durationMs,
        };
      return { status: 'pass', evidence, durationMs };
    }
    const busy = step.value.code === 421 || (step.value.code >= 400 && step.value.code < 500);
    return {
      status: 'fail',
      title: busy ? 'turned away for now' : 'turned away',
      evidence,
      cause: busy
        ? 'The server takes no connection from this address now: too many connections, a rate limit, or it is overloaded or stopping.'
        : 'The server refuses this address: a blocklist, a missing PTR record, or an access rule.',
      fix: busy
        ? 'Use fewer connections at once (a smaller pool), back off exponentially, and try again later; ask the provider for a higher limit.'
        : 'Read the reply: it often names the list. Check the PTR record and blocklists of the sending address; ask the operator to allow it.',
      durationMs,
    };
  },
};

export const ehlo: PortCheck = {
  id: 'ehlo',
  title: 'EHLO and capabilities',
  judge({ ehlo: before, ehloTls, capabilities, capabilitiesTls }) {
    const step = ehloTls ?? before;
    if (step === null) return null;
    const offered = capabilitiesTls ?? capabilities;
    const durationMs = step.ms;
    if ('failure' in step)
      return {
        status: 'fail',
        title: 'EHLO is not answered',
        evidence: step.failure.text,
        cause: `The server did not answer EHLO: it ${step.failure.kind === 'timeout' ? 'hangs or delays strangers (tarpit)' : 'broke the connection off'}, or a filter on the way did.`,
        fix: 'Look at the log of the server; a filter between (an SMTP-inspecting firewall) may break the conversation.',
        durationMs,
      };
    if (offered === null)
      return {
        status: 'fail',
        title: 'EHLO is refused',
        evidence: replyText(step.value),
        cause:
          step.value.code >= 500
            ? 'The server refuses EHLO: it only knows HELO, or an inspecting firewall stands between, so neither TLS nor AUTH can be had.'
            : 'The server refuses EHLO for now.',
        fix: 'Switch off SMTP inspection ("fixup") on the firewall; have ESMTP enabled on the server.',
        durationMs,
      };
    const lines = [...offered.keywords].map(([keyword, value]) => `${keyword}${value === '' ? '' : ` ${value}`}: ${explainCapability(keyword)}`);
    const masked = [...offered.keywords.keys()].find((keyword) => /^X{4,}/.test(keyword));
    if (masked !== undefined)
      return {
        status: 'fail',
        title: 'EHLO is tampered with',
        evidence: lines.join('\n'),
        cause: `A device between rewrites the EHLO answer (${masked}): it hides STARTTLS or AUTH.`,
        fix: 'Switch off SMTP inspection on the firewall (Cisco: no inspect esmtp), or use port 465.',
        durationMs,
      };
    return { status: 'pass', evidence: lines.length === 0 ? 'no extensions' : lines.join('\n'), durationMs };
  },
};
