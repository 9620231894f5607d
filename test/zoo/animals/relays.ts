// Servers that take mail from strangers to strangers, each by a trick of its own.

import type { Animal, Expected } from '../animal.ts';

const relay = (evidence: RegExp): Expected => ({ check: 'open-relay', status: 'fail', title: /open relay/, cause: /without a login/, fix: /smtpd_relay_restrictions/, evidence });

export const RELAYS: readonly Animal[] = [
  {
    name: 'open-relay',
    fault: 'relays for everybody',
    keep: [{ by: 'postfix', port: 25, options: { mynetworks: '0.0.0.0/0', smtpd_relay_restrictions: 'permit_mynetworks,reject' } }],
    expect: relay(/TAKEN {4}a stranger to a stranger/),
  },
  {
    name: 'open-submission',
    fault: 'port 587 relays without a login',
    keep: [{ by: 'exim', ports: [587], rcpt: '  accept' }],
    expect: { ...relay(/TAKEN {4}a stranger to a stranger/), fix: /before authentication/ },
  },
  {
    name: 'relay-behind-tls',
    fault: 'relays for everybody behind a TLS proxy, because the proxy is trusted',
    keep: [
      { by: 'stunnel', port: 25, to: 10_025, lines: 'protocol = smtp' },
      { by: 'opensmtpd', port: 10_025, certificate: null, auth: false, relays: true },
    ],
    expect: relay(/TAKEN {4}a stranger to a stranger/),
  },
  {
    name: 'relay-null-sender',
    fault: 'relays for the null sender',
    keep: [{ by: 'postfix', port: 25, options: { smtpd_relay_restrictions: 'check_sender_access inline:{{<> = OK}},reject_unauth_destination' } }],
    expect: relay(/refused {2}a stranger to a stranger(.|\n)*TAKEN {4}the null sender/),
  },
  {
    name: 'relay-own-sender',
    fault: 'relays for whoever names a sender of the own domain',
    keep: [{ by: 'exim', ports: [25], rcpt: '  accept sender_domains = *.zoo.test' }],
    expect: relay(/refused {2}a stranger to a stranger(.|\n)*TAKEN {4}a sender of the host itself/),
  },
  {
    name: 'relay-percent',
    fault: 'relays by the percent hack',
    keep: [
      {
        by: 'exim',
        ports: [25],
        main: 'allow_domain_literals',
        rcpt: '  accept domains = @[] : $primary_hostname\n         local_parts = ^.*%.*',
        routers: 'percent:\n  driver = redirect\n  local_parts = ^.*%.*\n  data = ${sg{$local_part}{%}{@}}',
      },
    ],
    expect: { check: 'open-relay', status: 'fail', title: /open relay/, cause: /local part/, fix: /allow_percent_hack = no/, evidence: /TAKEN {4}the percent hack/ },
  },
  {
    name: 'relay-bang',
    fault: 'relays by bang paths and quoted mailboxes',
    keep: [
      {
        by: 'aiosmtpd',
        port: 25,
        options: "auth_exclude_mechanism=['LOGIN', 'PLAIN']",
        handler: `async def handle_RCPT(self, server, session, envelope, address, options):
    local = address.rpartition('@')[0]
    if '!' not in local and '@' not in local:
        return '550 5.7.1 relay not permitted'
    envelope.rcpt_tos.append(address)
    return '250 OK'`,
      },
    ],
    expect: { check: 'open-relay', status: 'fail', title: /open relay/, cause: /local part/, fix: /swap_bangpath = no/, evidence: /TAKEN {4}a bang path/ },
  },
  {
    name: 'relay-source-route',
    fault: 'relays by source routes',
    keep: [
      {
        by: 'aiosmtpd',
        port: 25,
        options: "auth_exclude_mechanism=['LOGIN', 'PLAIN']",
        server: `async def smtp_RCPT(self, arg):
    await self.push('250 OK' if '<@' in arg else '550 5.7.1 relay not permitted')`,
      },
    ],
    expect: relay(/refused {2}a stranger to a stranger(.|\n)*TAKEN {4}a source route/),
  },
  {
    name: 'relay-behind-checks',
    fault: 'relays for everybody, but looks whether the domains take mail',
    keep: [
      {
        by: 'postfix',
        port: 25,
        options: {
          mynetworks: '0.0.0.0/0',
          smtpd_sender_restrictions: 'reject_unknown_sender_domain',
          smtpd_relay_restrictions: 'reject_unknown_recipient_domain,permit_mynetworks,reject',
        },
      },
    ],
    expect: relay(/TAKEN {4}a stranger to a stranger: <doctor@iana\.org>/),
  },
];
