// What a server allows too little of: size, rate, connections.

import type { Animal } from '../animal.ts';

export const LIMITS: readonly Animal[] = [
  {
    name: 'small-size',
    fault: 'messages up to one megabyte only',
    keep: [{ by: 'postfix', port: 587, options: { message_size_limit: '1000000' } }],
    expect: { check: 'size', status: 'warn', title: /small message limit/, cause: /refused with 552/, fix: /message_size_limit/, evidence: /SIZE 1000000/ },
  },
  {
    name: 'greylisting',
    fault: 'strangers are put off with 450',
    keep: [{ by: 'postfix', port: 25, options: { smtpd_relay_restrictions: 'check_client_access static:{450 4.7.1 Greylisted},reject_unauth_destination' } }],
    expect: { check: 'rate', status: 'warn', title: /temporary refusals/, cause: /greylisting/, fix: /try again/, evidence: /^450 4\.7\.1 .*Greylisted/ },
  },
  {
    name: 'deferring',
    fault: 'every recipient is put off with 451',
    keep: [{ by: 'exim', ports: [25], rcpt: '  defer message = a fault of our own' }],
    expect: { check: 'rate', status: 'warn', title: /temporary refusals/, cause: /greylisting, a rate limit, or a fault/, fix: /try again/, evidence: /^451 a fault of our own/ },
  },
  {
    name: 'disk-full',
    fault: 'too little disk space for mail, 452',
    keep: [{ by: 'postfix', port: 25, options: { queue_minfree: '9000000000000000', message_size_limit: '50000000' } }],
    expect: { check: 'rate', status: 'warn', title: /short of storage/, cause: /too little disk space/, fix: /queue_minfree/, evidence: /^452 4\.3\.1/ },
  },
  {
    name: 'one-connection',
    fault: 'one connection at once for each client, the others get 421',
    keep: [{ by: 'postfix', port: 587, options: { smtpd_client_connection_count_limit: '1', smtpd_client_event_limit_exceptions: '' } }],
    expect: { check: 'rate', status: 'warn', title: /connections/, cause: /connections at once/, fix: /fewer connections/, evidence: /421 4\.7\.0 .*too many connections/ },
  },
];
