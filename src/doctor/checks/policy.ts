// What the server lets strangers do, and how it bears load: relaying, size, rate replies, and the time of each step.

import { replyText } from '#doctor/probes/conversation.ts';
import type { PortEvidence } from '#doctor/probes/port.ts';
import { refusedForDomain } from '#doctor/probes/relay.ts';
import { isSubmission, ms } from './check.ts';
import type { PortCheck } from './check.ts';

export const openRelay: PortCheck = {
  id: 'open-relay',
  title: 'relaying without a login',
  judge(evidence) {
    const { relay, address } = evidence;
    if (relay === null || relay.length === 0) return null;
    const text = relay.map(({ name, from, to, accepted, reply }) => `${accepted ? 'TAKEN  ' : 'refused'}  ${name}: <${from}> -> <${to}>: ${reply}`).join('\n');
    const strangers = relay.filter((one) => one.accepted && one.kind === 'stranger');
    if (strangers.length > 0) {
      const near = /^(?:127\.|::1$)/.test(address);
      return {
        status: 'fail',
        title: 'open relay',
        evidence: text,
        cause: `The server takes mail for strangers without a login${near ? ', at least from this machine (it may trust 127.0.0.0/8: Postfix: mynetworks)' : ''}: spammers find this within hours, and the address lands on blocklists.`,
        fix: isSubmission(evidence)
          ? 'Take nothing before authentication (Postfix: smtpd_relay_restrictions = permit_sasl_authenticated, reject).'
          : 'Take mail for your own domains only (Postfix: smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination) and keep mynetworks small.',
      };
    }
    const hidden = relay.filter((one) => one.accepted && one.kind === 'own');
    const fix = 'Refuse %, ! and quoted @ in local parts (Postfix: swap_bangpath = no, allow_percent_hack = no; Exim: deny local_parts = ^.*[@%!]).';
    // It takes these, and not any mailbox of its own: so it looks into them.
    if (hidden.length > 0 && relay.some((one) => one.kind === 'control' && !one.accepted))
      return {
        status: 'fail',
        title: 'open relay by old routing syntax',
        evidence: text,
        cause: `The server routes an address that is hidden in a local part (${hidden.map(({ name }) => name).join(', ')}) to strangers without a login: spammers find this, and the address lands on blocklists.`,
        fix,
      };
    if (hidden.length > 0)
      return {
        status: 'warn',
        title: 'old routing syntax is taken',
        evidence: text,
        cause:
          'The server takes an address that hides another one in its local part: harmless if it is delivered locally (it takes any mailbox), an open relay if it is routed on.',
        fix,
      };
    if (relay.every(({ reply }) => refusedForDomain(reply)))
      return { status: 'skip', evidence: `${text}\n(the server looks at the domains: name a mailbox of yours elsewhere with --relay-to)` };
    return { status: 'pass', evidence: text };
  },
};

export const size: PortCheck = {
  id: 'size',
  title: 'largest message',
  judge({ capabilities, capabilitiesTls }) {
    const offered = capabilitiesTls ?? capabilities;
    if (offered === null) return null;
    if (!offered.keywords.has('SIZE')) return { status: 'pass', evidence: 'SIZE is not offered: the limit shows only when a message is refused' };
    if (offered.sizeBytes === null) return { status: 'pass', evidence: 'SIZE without a limit' };
    const text = `SIZE ${offered.sizeBytes} (${(offered.sizeBytes / 1_000_000).toFixed(1)} MB; attachments grow by a third)`;
    if (offered.sizeBytes < 5_000_000)
      return {
        status: 'warn',
        title: 'small message limit',
        evidence: text,
        cause: 'Messages with ordinary attachments will be refused with 552.',
        fix: 'Raise the limit (Postfix: message_size_limit), or link to files.',
      };
    return { status: 'pass', evidence: text };
  },
};

export const rate: PortCheck = {
  id: 'rate',
  title: 'rate limits',
  judge(evidence) {
    if (evidence.turnedAway !== null)
      return {
        status: 'warn',
        title: 'few connections at once',
        evidence: evidence.turnedAway,
        cause: 'The server limits the connections at once from one address: some of the four that were opened here were turned away, and came through later one by one.',
        fix: 'Give clients a smaller pool (fewer connections at once, more messages on each); on the server: Postfix smtpd_client_connection_count_limit, Exim smtp_accept_max_per_host.',
      };
    const limited = replies(evidence).find(({ code }) => code === 421 || code === 450 || code === 451 || code === 452 || code === 454);
    if (limited === undefined) return evidence.greeting === null ? null : { status: 'pass', evidence: 'no 421, 450, 451, 452 or 454 in this conversation' };
    // A temporary greeting is told by its own check.
    if (evidence.greeting !== null && 'value' in evidence.greeting && evidence.greeting.value.code !== 220) return null;
    if (limited.code === 452)
      return {
        status: 'warn',
        title: 'short of storage',
        evidence: limited.text,
        cause: 'The server has too little disk space for mail (or counts too many recipients): it puts everybody off.',
        fix: 'Free disk space where the queue lies (Postfix: df of queue_directory, queue_minfree; Exim: check_spool_space); senders try again by themselves.',
      };
    return {
      status: 'warn',
      title: 'temporary refusals',
      evidence: limited.text,
      cause: 'The server slows strangers down: greylisting, a rate limit, or a fault of its own.',
      fix: 'Let the sending server try again (it does by itself); use fewer connections and back off exponentially.',
    };
  },
};

/** STARTTLS that is refused for now is told by its own check. */
function replies({ greeting, ehlo, ehloTls, relay }: PortEvidence): { code: number; text: string }[] {
  const steps = [greeting, ehlo, ehloTls].flatMap((step) => (step !== null && 'value' in step ? [step.value] : []));
  return [...steps.map((reply) => ({ code: reply.code, text: replyText(reply) })), ...(relay ?? []).map(({ reply }) => ({ code: Number(reply.slice(0, 3)), text: reply }))];
}

const SLOW_STEP_MS = 2000;

export const latency: PortCheck = {
  id: 'latency',
  title: 'time of each step',
  judge({ connect, greeting, ehlo, starttls, tls, ehloTls, totalMs }) {
    const steps = Object.entries({ connect, greeting, ehlo, starttls, handshake: tls, 'ehlo after tls': ehloTls }).flatMap(([name, step]) =>
      step === null || !('value' in step) ? [] : [{ name, ms: step.ms }],
    );
    if (!steps.some(({ name }) => name === 'greeting')) return null;
    const evidence = steps.map((step) => `${step.name} ${ms(step.ms)}`).join(', ');
    const slow = steps.filter((step) => step.name !== 'greeting' && step.ms > SLOW_STEP_MS);
    if (slow.length > 0)
      return {
        status: 'warn',
        title: 'slow answers (tarpit or overload)',
        evidence,
        cause: `The server lets clients wait (${slow.map(({ name }) => name).join(', ')}): it delays strangers on purpose (tarpit), or is overloaded.`,
        fix: 'Look at the load of the server and at its delay settings (Postfix: smtpd_error_sleep_time, postscreen; Exim: delay in ACLs); let clients wait longer.',
        durationMs: totalMs,
      };
    return { status: 'pass', evidence, durationMs: totalMs };
  },
};
