// Connections that do not come about, end at once, or are slow; firewalls, tarpits, and what listens in the wrong place.

import type { Animal } from '../animal.ts';

const QUICK = ['--timeout', '3'] as const;
/** Where a network that lets nothing out is asked for a second host. */
const REFERENCE = '127.20.255.1';

export const CONNECTIONS: readonly Animal[] = [
  {
    name: 'refused',
    fault: 'nothing listens',
    keep: [],
    target: 'HOST:587',
    expect: { check: 'tcp', status: 'fail', title: /refused/, cause: /nothing listens on port 587/, fix: /ss -ltn/, evidence: /ECONNREFUSED/ },
  },
  {
    name: 'dropped',
    fault: 'a firewall drops what comes to port 587',
    keep: [
      { by: 'nftables', port: 587, verdict: 'drop' },
      { by: 'postfix', port: 587 },
    ],
    args: QUICK,
    expect: { check: 'tcp', status: 'fail', title: /timed out/, cause: /a firewall drops them/, fix: /2525, or 465/, evidence: /no answer from \S+ port 587 within 3\.0 s/ },
  },
  {
    name: 'dropped-all',
    fault: 'a firewall drops everything',
    keep: [{ by: 'nftables', port: null, verdict: 'drop' }],
    target: 'HOST',
    args: QUICK,
    expect: { check: 'tcp', status: 'fail', title: /timed out/, cause: /a firewall drops them/, fix: /port 25/, evidence: /no answer/ },
  },
  {
    name: 'rejected',
    fault: 'a firewall rejects with ICMP',
    keep: [
      { by: 'nftables', port: 587, verdict: 'reject with icmp type admin-prohibited' },
      { by: 'postfix', port: 587 },
    ],
    expect: { check: 'tcp', status: 'fail', title: /no route/, cause: /firewall/, fix: /firewall/, evidence: /EHOSTUNREACH/ },
  },
  {
    name: 'rejected-reset',
    fault: 'a firewall rejects with a TCP reset',
    keep: [{ by: 'nftables', port: 465, verdict: 'reject with tcp reset' }],
    target: 'HOST:465',
    expect: { check: 'tcp', status: 'fail', title: /refused/, cause: /or a firewall rejects it/, fix: /firewall/, evidence: /ECONNREFUSED/ },
  },
  {
    name: 'network-blocks-25',
    fault: 'this network lets nothing out to port 25',
    keep: [{ by: 'nftables', port: 25, verdict: 'drop', and: REFERENCE }],
    target: 'HOST:25',
    args: [...QUICK, '--reference', REFERENCE],
    expect: { check: 'outbound', status: 'fail', title: /this network blocks port 25/, cause: /blocked by the provider/, fix: /465, 587 or 2525/, evidence: /neither the host/ },
    follows: ['tcp'],
  },
  {
    name: 'host-drops-25',
    beside: ['healthy-postfix'],
    fault: 'the host drops port 25, the network does not',
    keep: [{ by: 'nftables', port: 25, verdict: 'drop' }],
    target: 'HOST:25',
    args: [...QUICK, '--reference', 'healthy-postfix.zoo.test'],
    expect: { check: 'outbound', status: 'pass', title: /port 25 is open from here/, evidence: /the host that was asked drops it or is down/ },
    follows: ['tcp'],
  },
  {
    name: 'closed-at-once',
    fault: 'a balancer without a server behind it closes the connection',
    keep: [{ by: 'haproxy', port: 587, to: null }],
    expect: { check: 'banner', status: 'fail', title: /closed at once/, cause: /behind a balancer is down/, fix: /access rules/, evidence: /closed|ECONNRESET|reset/ },
  },
  {
    name: 'silent',
    fault: 'the connection is taken and nothing is said',
    keep: [
      { by: 'haproxy', port: 587, to: 10_587, lines: '  tcp-request inspect-delay 30s\n  tcp-request content accept if { req.len gt 0 }' },
      { by: 'postfix', port: 10_587 },
    ],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /no greeting/, cause: /says nothing/, fix: /log of the server/, evidence: /timed out/ },
  },
  {
    name: 'awaits-proxy-header',
    fault: 'the server is set up for a balancer and awaits its PROXY header',
    keep: [{ by: 'postfix', port: 587, options: { smtpd_upstream_proxy_protocol: 'haproxy', smtpd_upstream_proxy_timeout: '60s' } }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /no greeting/, cause: /awaits a PROXY header/, fix: /smtpd_upstream_proxy_protocol/, evidence: /timed out/ },
  },
  {
    name: 'slow-greeting',
    fault: 'a tarpit of six seconds before the greeting',
    keep: [{ by: 'exim', ports: [25], connect: '  warn delay = 6s' }],
    args: ['--timeout', '20'],
    expect: { check: 'banner', status: 'warn', title: /slow greeting/, cause: /tarpit/, fix: /at least 60 seconds/, evidence: /220 .*after (?:[6-9]|1\d)\.\d s/ },
  },
  {
    name: 'tarpit',
    fault: 'a tarpit of three seconds before each answer',
    keep: [{ by: 'exim', ports: [25], helo: '  warn delay = 3s' }],
    args: ['--timeout', '20'],
    expect: { check: 'latency', status: 'warn', title: /tarpit or overload/, cause: /lets clients wait \(ehlo/, fix: /delay in ACLs/, evidence: /ehlo [3-9]\.\d s/ },
  },
  {
    name: 'greeted-554',
    fault: 'turned away with 554',
    keep: [{ by: 'opensmtpd', port: 25, certificate: null, filter: 'phase connect match src { "127.0.0.0/8" } disconnect "554 5.7.1 Your address is listed"' }],
    expect: { check: 'banner', status: 'fail', title: /turned away/, cause: /refuses this address/, fix: /blocklists/, evidence: /^554 5\.7\.1 Your address is listed/ },
  },
  {
    name: 'greeted-550',
    fault: 'turned away with 550 by an access rule',
    keep: [{ by: 'exim', ports: [587], connect: '  deny message = no strangers here' }],
    expect: { check: 'banner', status: 'fail', title: /turned away/, cause: /access rule/, fix: /Read the reply/, evidence: /^550 no strangers here/ },
  },
  {
    name: 'greeted-421',
    fault: 'turned away for now with 421',
    keep: [{ by: 'opensmtpd', port: 587, certificate: null, auth: false, filter: 'phase connect match src { "127.0.0.0/8" } disconnect "421 4.7.0 Too many connections"' }],
    expect: { check: 'banner', status: 'fail', title: /turned away for now/, cause: /too many connections/, fix: /back off/, evidence: /^421 4\.7\.0 Too many connections/ },
  },
  {
    name: 'greeted-451',
    fault: 'turned away for now with 451',
    keep: [{ by: 'exim', ports: [587], connect: '  defer message = too many connections\n' }],
    expect: { check: 'banner', status: 'fail', title: /turned away for now/, cause: /rate limit/, fix: /back off/, evidence: /^451 / },
  },
  {
    name: 'imap-on-587',
    fault: 'an IMAP server listens on 587',
    keep: [{ by: 'dovecot', ports: [587], protocol: 'imap' }],
    expect: {
      check: 'banner',
      status: 'fail',
      title: /not an SMTP server/,
      cause: /does not speak SMTP/,
      fix: /port is the one of the mail server/,
      evidence: /OK/,
    },
  },
  {
    name: 'web-on-587',
    fault: 'a web server listens on 587',
    keep: [{ by: 'nginx', ports: [587], serves: { web: 'location / { return 200; }' } }],
    args: QUICK,
    expect: { check: 'banner', status: 'fail', title: /no greeting/, cause: /something else listens on port 587/, fix: /log of the server/, evidence: /timed out/ },
  },
  {
    name: 'helo-only',
    fault: 'EHLO is refused, only HELO is known',
    keep: [{ by: 'postfix', port: 25, options: { smtpd_command_filter: 'regexp:{{/^EHLO.*/ XEHLO}}' } }],
    expect: { check: 'ehlo', status: 'fail', title: /EHLO is refused/, cause: /refuses EHLO/, fix: /inspection/, evidence: /^5\d\d / },
  },
];
