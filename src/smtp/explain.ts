// What a failure means and what to do: from a refused reply or a failed connection to {class, cause, fix}. A table, first match wins; the
// class is a stable word for programs, cause and fix are sentences for people.

import type { ClientFailure, RemoteReply } from './client-types.ts';

export type Explanation = { readonly class: string; readonly cause: string; readonly fix: string };

/** Where it happened, for the sentences. */
export type Place = { readonly host: string; readonly port: number | null };

type Row = { readonly class: string; readonly when: (failure: ClientFailure) => boolean; readonly cause: string; readonly fix: string };
type ReplyRow = { readonly class: string; readonly codes?: RegExp; readonly enhanced?: RegExp; readonly text?: RegExp; readonly cause: string; readonly fix: string };

const code =
  (...codes: string[]) =>
  (failure: ClientFailure): boolean =>
    failure.code !== null && codes.includes(failure.code);

/** Connections and handshakes. {host} and {port} are filled in. */
const FAILURES: readonly Row[] = [
  {
    class: 'connection-refused',
    when: code('ECONNREFUSED'),
    cause: '{host} is up, but nothing listens on port {port}.',
    fix: 'Check the host name and which ports that server serves (submission: 465, 587, 2525; mail exchangers: 25).',
  },
  {
    class: 'connection-timeout',
    when: (failure) => failure.phase === 'connect' && failure.kind === 'timeout',
    cause: 'No answer from {host} port {port}: most likely a firewall drops the connection (many networks block port 25, some 587).',
    fix: 'Try another port of the ladder (465, 587, 2525), or ask the network provider to open this one.',
  },
  {
    class: 'unreachable',
    when: code('EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'),
    cause: 'There is no route to {host}.',
    fix: 'Check the network, and whether IPv6 works where the address is an IPv6 one.',
  },
  {
    class: 'dns-failure',
    when: code('ENOTFOUND', 'EAI_AGAIN', 'ENODATA', 'ESERVFAIL'),
    cause: 'The name {host} could not be resolved.',
    fix: 'Check the spelling of the host name and that the DNS resolver works.',
  },
  {
    class: 'starttls-missing',
    when: code('ERR_NO_STARTTLS'),
    cause: '{host} does not offer STARTTLS on port {port}, and TLS is required: a silent downgrade would send mail and password in the clear.',
    fix: 'Use port 465 with implicit TLS, or have STARTTLS enabled on the server. If it is offered elsewhere, something on the way removes it.',
  },
  {
    class: 'certificate-expired',
    when: code('CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'),
    cause: 'The certificate of {host} is outside its dates.',
    fix: 'Have the certificate renewed; check the clock of this machine.',
  },
  {
    class: 'certificate-name',
    when: code('ERR_TLS_CERT_ALTNAME_INVALID'),
    cause: 'The certificate that {host} shows is for another name.',
    fix: 'Connect by a name that stands in the certificate, or have the certificate issued for this one.',
  },
  {
    class: 'certificate-untrusted',
    when: (failure) => failure.kind === 'tls' && /SELF_SIGNED|UNABLE_TO|CERT_|LEAF/.test(failure.code ?? ''),
    cause: 'The certificate of {host} is not signed by an authority known here.',
    fix: 'Use a publicly trusted certificate, or name its authority (delivery.ca_file, or --ca-file of "send"). Check that the server sends its whole chain.',
  },
  {
    class: 'tls-injection',
    when: code('ERR_INJECTION'),
    cause: 'Clear-text bytes came behind the answer to STARTTLS: either a broken server or somebody on the way.',
    fix: 'Use port 465; have the server or the network looked at.',
  },
  {
    class: 'tls-wrong-port',
    when: code('ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG'),
    cause: '{host} port {port} does not speak TLS from the first byte.',
    fix: 'Use implicit TLS on 465 only, STARTTLS on 587 and 2525.',
  },
  {
    class: 'tls-failed',
    when: (failure) => failure.kind === 'tls' || failure.phase === 'tls',
    cause: 'The TLS handshake with {host} failed.',
    fix: 'The server should speak TLS 1.2 or 1.3 with a modern cipher; see the transcript for what it said.',
  },
  {
    class: 'auth-mechanism',
    when: (failure) => failure.phase === 'auth' && failure.kind === 'policy',
    cause: '{host} offers no way to log in that can be used here.',
    fix: 'Use a port with TLS (465 or 587), and a server with SCRAM-SHA-256, PLAIN or LOGIN.',
  },
  {
    class: 'smtputf8-missing',
    when: code('ERR_SMTPUTF8_ADDRESS', 'ERR_SMTPUTF8_HEADER'),
    cause: 'The addresses or headers are not ASCII, and {host} does not take such mail (SMTPUTF8).',
    fix: 'Use an ASCII address for this recipient.',
  },
  {
    class: 'requiretls-missing',
    when: code('ERR_REQUIRETLS'),
    cause: 'The message may only travel over verified TLS, and {host} does not promise that.',
    fix: 'Send without REQUIRETLS, or ask the receiver to support it.',
  },
  { class: 'message-too-big', when: code('ERR_SIZE'), cause: 'The message is larger than {host} takes.', fix: 'Send a smaller message, or a link instead of the attachment.' },
  {
    class: 'protocol-error',
    when: (failure) => failure.kind === 'protocol',
    cause: '{host} port {port} does not speak SMTP as it should.',
    fix: 'Check that the port belongs to a mail server, and what stands between (proxy, firewall, virus scanner).',
  },
  { class: 'aborted', when: (failure) => failure.kind === 'aborted', cause: 'The attempt was given up on this side.', fix: 'It is tried again by itself.' },
  { class: 'timeout', when: (failure) => failure.kind === 'timeout', cause: '{host} stopped answering.', fix: 'It is tried again later; if it lasts, ask whoever runs {host}.' },
  {
    class: 'connection-lost',
    when: (failure) => failure.kind === 'socket',
    cause: '{host} closed the connection in the middle.',
    fix: 'It is tried again later; if it lasts, look for a firewall or for limits on the other side.',
  },
];

/** Refusals, by what servers really say. Text is compared in lower case. */
const REPLIES: readonly ReplyRow[] = [
  {
    class: 'auth-failed',
    codes: /^(535|534|538)$/,
    cause: 'The server does not accept this username and password.',
    fix: 'Check both; authenticate only after TLS; some providers want an application password, or allow certain addresses only.',
  },
  {
    class: 'auth-required',
    codes: /^530$/,
    text: /authenti|5\.7\.0|log ?in/,
    cause: 'The server wants a login before it takes mail.',
    fix: 'Give a username and password, on a submission port (465, 587, 2525).',
  },
  { class: 'starttls-required', codes: /^530$/, cause: 'The server wants TLS before anything else.', fix: 'Use STARTTLS, or port 465.' },
  {
    class: 'greylisted',
    codes: /^4/,
    text: /gr[ae]y-?list|try again in \d+ (sec|min)|postgrey/,
    cause: 'The receiver defers unknown senders for a while (greylisting).',
    fix: 'Nothing to do: the next attempt usually gets through.',
  },
  {
    class: 'too-many-recipients',
    codes: /^45[0-2]$/,
    enhanced: /^4\.5\.3$/,
    cause: 'The receiver takes fewer recipients at once.',
    fix: 'Nothing to do: the rest goes in the next transaction.',
  },
  {
    class: 'too-many-recipients',
    codes: /^4/,
    text: /too many recipients/,
    cause: 'The receiver takes fewer recipients at once.',
    fix: 'Nothing to do: the rest goes in the next transaction.',
  },
  {
    class: 'rate-limited',
    codes: /^4/,
    text: /\brat(e|ing)\b|rate-?limit|too many (messages|mails|concurrent|connections|sessions|requests|errors)|throttl|slow down|limit|too (fast|much mail)|temporarily deferred|unusual/,
    cause: 'The receiver takes only so much mail from here in a given time.',
    fix: 'It slows down by itself; fewer connections, a warmed-up address and wanted mail help.',
  },
  {
    class: 'mailbox-full',
    text: /(mailbox|inbox|storage|quota|space).{0,40}(full|exceed|over|insufficient)|over ?quota|quota exceeded/,
    cause: 'The mailbox of the recipient is full.',
    fix: 'The recipient has to make room.',
  },
  { class: 'mailbox-full', enhanced: /^[45]\.2\.2$/, cause: 'The mailbox of the recipient is full.', fix: 'The recipient has to make room.' },
  { class: 'message-too-big', codes: /^552$/, cause: 'The message is larger than the receiver takes.', fix: 'Send a smaller message, or a link instead of the attachment.' },
  {
    class: 'message-too-big',
    enhanced: /^[45]\.(3\.4|2\.3)$/,
    cause: 'The message is larger than the receiver takes.',
    fix: 'Send a smaller message, or a link instead of the attachment.',
  },
  {
    class: 'relay-denied',
    text: /relay|not permitted to (send|relay)|not local|we do not accept mail for|recipient.{0,20}not.{0,10}(handled|hosted)/,
    cause: 'The server does not handle mail for this recipient.',
    fix: 'Check the MX records of the domain; to send through a relay, authenticate on 465 or 587.',
  },
  { class: 'mailbox-disabled', enhanced: /^5\.2\.1$/, cause: 'The mailbox exists but takes no mail.', fix: 'Reach the recipient another way; take the address off the list.' },
  {
    class: 'blocked',
    codes: /^[45]/,
    text: /block ?list|black ?list|dnsbl|\brbl\b|spamhaus|barracuda|reputation|\blisted (at|by|in|on)|\bblocked\b/,
    cause: 'The receiver blocks the address this mail comes from.',
    fix: 'Look the address up on the list that is named, mend the reason, and ask to be removed.',
  },
  {
    class: 'authentication-missing',
    text: /dmarc|\bspf\b|dkim|unauthenticated|sender (id|policy)/,
    cause: 'The sending domain does not authenticate this mail (SPF, DKIM or DMARC).',
    fix: 'Publish SPF and DKIM for the sending domain and sign its mail.',
  },
  {
    class: 'authentication-missing',
    enhanced: /^5\.7\.(2[0-9])$/,
    cause: 'The sending domain does not authenticate this mail (SPF, DKIM or DMARC).',
    fix: 'Publish SPF and DKIM for the sending domain and sign its mail.',
  },
  {
    class: 'reverse-dns',
    text: /reverse dns|\bptr\b|rdns|cannot find your hostname|helo.{0,30}(invalid|reject|resolv|mismatch)|hostname/,
    cause: 'The receiver does not like the name of this server (reverse DNS or HELO).',
    fix: 'Give the address a PTR record that names this host, and the host an A record back.',
  },
  {
    class: 'content-refused',
    text: /spam|virus|malware|phish|\bcontent|\bbulk\b|suspicious|\burls?\b/,
    cause: 'The receiver does not want what is in the message.',
    fix: 'Look at content, links and attachments; check that the recipients asked for it.',
  },
  { class: 'no-such-user', codes: /^55[0-4]$/, enhanced: /^5\.1\.(1|6|10)$/, cause: 'There is no such mailbox.', fix: 'Check the spelling of the address; take it off the list.' },
  {
    class: 'no-such-user',
    codes: /^55[0-4]$/,
    text: /(user|mailbox|recipient|address|account).{0,40}(unknown|not (found|exist)|does(n't| not) exist|invalid|unavailable|disabled|no longer)|no such|unknown (user|recipient|mailbox)|does not exist|user not known/,
    cause: 'There is no such mailbox.',
    fix: 'Check the spelling of the address; take it off the list.',
  },
  { class: 'no-such-domain', enhanced: /^5\.1\.2$/, cause: 'The domain of the recipient does not exist or takes no mail.', fix: 'Check the spelling of the domain.' },
  { class: 'bad-sender', enhanced: /^[45]\.1\.[78]$/, cause: 'The receiver does not accept the sender address.', fix: 'Use a sender whose domain exists and takes mail.' },
  {
    class: 'bad-sender',
    text: /sender.{0,40}(reject|invalid|unknown|not exist|verif|resolv)/,
    cause: 'The receiver does not accept the sender address.',
    fix: 'Use a sender whose domain exists and takes mail.',
  },
  { class: 'loop', enhanced: /^5\.4\.6$/, cause: 'The message goes round in circles.', fix: 'Look at forwarding rules and MX records of the domain.' },
  { class: 'loop', text: /loop|too many hops/, cause: 'The message goes round in circles.', fix: 'Look at forwarding rules and MX records of the domain.' },
  {
    class: 'system-full',
    enhanced: /^[45]\.3\.1$/,
    cause: 'The receiving server is short of space.',
    fix: 'It is tried again by itself; whoever runs the server has to make room.',
  },
  { class: 'not-taking-mail', codes: /^(521|556)$/, cause: 'The host does not take mail at all.', fix: 'Check the domain and its MX records.' },
  { class: 'service-unavailable', codes: /^421$/, cause: 'The receiver is busy or closing.', fix: 'It is tried again by itself.' },
  { class: 'policy-refused', enhanced: /^[45]\.7\./, cause: 'The receiver refuses this mail by its policy.', fix: 'Read what it says; ask its postmaster if that does not help.' },
  { class: 'deferred', codes: /^4/, cause: 'The receiver cannot take the message now.', fix: 'It is tried again by itself.' },
  { class: 'refused', codes: /^5/, cause: 'The receiver refuses the message.', fix: 'Read what it says; ask its postmaster if that does not help.' },
];

/** Explains a refusal by its reply. */
export function explainReply(reply: RemoteReply): Explanation {
  const text = reply.lines.join(' ').toLowerCase();
  const row = REPLIES.find((one) => (one.codes?.test(String(reply.code)) ?? true) && (one.enhanced?.test(reply.enhanced) ?? true) && (one.text?.test(text) ?? true));
  return row === undefined
    ? { class: 'protocol-error', cause: 'The server gave an answer that does not belong here.', fix: 'Check that the port belongs to a mail server.' }
    : { class: row.class, cause: row.cause, fix: row.fix };
}

/** Explains the failure of a connection or of a whole transaction. */
export function explainClientFailure(failure: ClientFailure, place: Place): Explanation {
  if (failure.phase === 'auth' && failure.reply !== null && failure.reply.code >= 500) {
    return { class: 'auth-failed', cause: `${place.host} refuses the login.`, fix: 'Check user and password; some providers want a password made for applications.' };
  }
  if (failure.reply !== null) return explainReply(failure.reply);
  const row = FAILURES.find((one) => one.when(failure));
  const fill = (text: string): string => text.replaceAll('{host}', place.host).replaceAll('{port}', place.port === null ? '(socket)' : String(place.port));
  if (row === undefined) return { class: 'failed', cause: fill(`The connection to {host} failed: ${failure.text}.`), fix: 'It is tried again by itself.' };
  return { class: row.class, cause: fill(row.cause), fix: fill(row.fix) };
}
