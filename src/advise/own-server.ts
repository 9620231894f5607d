// The set-up of a mail server of one's own: what it listens on, and the configuration of Postern that does it. 25 takes mail from servers and never
// relays; users hand in on 587 and 465, always encrypted and with a login.

import { isIP } from 'node:net';
import { canonicalDomain } from '#smtp/address.ts';
import { PLACEHOLDERS, hostOf } from './question.ts';
import type { Question } from './question.ts';

export type ServerPort = { readonly port: number; readonly direction: 'in' | 'out'; readonly use: string; readonly encryption: string };

const LISTENERS: readonly ServerPort[] = [
  {
    port: 25,
    direction: 'in',
    use: 'Mail from other servers for your own domains (MX). No login, and no relaying: submission never goes here.',
    encryption: 'STARTTLS, offered to everybody',
  },
  {
    port: 25,
    direction: 'out',
    use: 'Delivery to the mail hosts (MX) of others. Providers and clouds often block it: ask for it, or deliver through a relay.',
    encryption: 'STARTTLS where it is offered; required where DANE, MTA-STS or you ask for it',
  },
  { port: 587, direction: 'in', use: 'Submission by users and applications, with a login (SASL).', encryption: 'STARTTLS, required' },
  { port: 465, direction: 'in', use: 'Submission, beside 587.', encryption: 'TLS from the first byte' },
];

export function ownServer(question: Question): { readonly listeners: readonly ServerPort[]; readonly snippet: string } {
  const { host } = hostOf(question);
  return { listeners: LISTENERS, snippet: configurationOf(host) };
}

/** Names that no authority issues a certificate for give way to a placeholder. */
function configurationOf(named: string): string {
  const host = canonicalDomain(named) !== null && named.includes('.') && isIP(named) === 0 ? named : PLACEHOLDERS['own-server'];
  const domain = host.slice(host.indexOf('.') + 1);
  return `# Start with "postern serve". The address needs a PTR record with this name, and the name an address record.
hostname = "${host}"

[tls]
mode = "acme" # a certificate that clients can verify

[tls.acme]
agree_terms = true # to the terms of the authority: https://letsencrypt.org

[inbound]
domains = [${domain.includes('.') ? `"${domain}"` : ''}] # mail for these is taken on 25, and for no others

[[listener]]
profile = "mx" # 25: from servers; STARTTLS offered, no login, no relaying
port = 25

[[listener]]
profile = "submission" # 587: STARTTLS and a login required
port = 587

[[listener]]
profile = "submissions" # 465: TLS from the first byte, and a login
port = 465
`;
}
