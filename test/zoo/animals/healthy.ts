// Healthy servers of every kind: the doctor has to find nothing, not even something to look at.

import type { Animal } from '../animal.ts';

const none = { fault: null, expect: null } as const;

export const HEALTHY: readonly Animal[] = [
  {
    name: 'healthy-postfix',
    ...none,
    keep: [
      { by: 'postfix', port: 25 },
      { by: 'postfix', port: 465, implicit: true },
      { by: 'postfix', port: 587 },
      { by: 'postfix', port: 2525 },
    ],
    target: 'HOST',
  },
  { name: 'healthy-exim', ...none, keep: [{ by: 'exim', ports: [465, 587, 2525] }], target: 'HOST' },
  { name: 'healthy-exim-mx', ...none, keep: [{ by: 'exim', ports: [25] }] },
  // The OpenSMTPD of Debian 12 cannot use its keys with OpenSSL 3: stunnel does STARTTLS for it.
  {
    name: 'healthy-opensmtpd',
    ...none,
    keep: [
      { by: 'stunnel', port: 25, to: 10_025, lines: 'protocol = smtp' },
      { by: 'opensmtpd', port: 10_025, certificate: null, auth: false },
    ],
  },
  { name: 'healthy-dovecot', ...none, keep: [{ by: 'dovecot', ports: [465, 587] }], target: 'HOST' },
  { name: 'healthy-nginx', ...none, keep: [{ by: 'nginx', ports: [465, 587], serves: 'mail' }], target: 'HOST' },
  { name: 'healthy-postern', ...none, keep: [{ by: 'postern' }], target: 'HOST' },
];
