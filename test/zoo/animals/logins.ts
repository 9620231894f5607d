// Logins that are offered too early, not at all, or refused, each for another reason.

import type { Animal } from '../animal.ts';

const AS_ZOO = { args: ['--user', 'zoo'], password: 'keeper' } as const;
/** aiosmtpd whose logins end in this reply. */
const refuses = (reply: string): Animal['keep'] => [
  {
    by: 'aiosmtpd',
    port: 587,
    options: 'authenticator=lambda *_: AuthResult(success=False, handled=True), auth_required=True',
    server: `async def smtp_AUTH(self, arg):\n    await self.push('${reply}')`,
  },
];

export const LOGINS: readonly Animal[] = [
  {
    name: 'auth-before-tls',
    fault: 'AUTH offered before TLS',
    keep: [{ by: 'postfix', port: 587, options: { smtpd_tls_auth_only: 'no', smtpd_tls_security_level: 'may' } }],
    expect: {
      check: 'auth-before-tls',
      status: 'fail',
      title: /offered before TLS/,
      cause: /passwords on an unencrypted connection/,
      fix: /smtpd_tls_auth_only = yes/,
      evidence: /AUTH .*PLAIN/,
    },
  },
  {
    name: 'auth-before-tls-exim',
    fault: 'AUTH offered before TLS, and no TLS at all',
    keep: [
      { by: 'exim', ports: [587], certificate: null, authenticators: 'plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = false' },
    ],
    expect: { check: 'auth-before-tls', status: 'fail', title: /offered before TLS/, cause: /sends them readably/, fix: /auth_advertise_hosts/, evidence: /AUTH PLAIN/ },
    follows: ['starttls', 'downgrade'],
  },
  {
    name: 'no-auth',
    fault: 'no AUTH after TLS on 587',
    keep: [{ by: 'postfix', port: 587, options: { smtpd_sasl_auth_enable: 'no', smtpd_relay_restrictions: 'reject' } }],
    expect: { check: 'auth', status: 'fail', title: /no AUTH after TLS/, cause: /SASL is not enabled/, fix: /smtpd_sasl_auth_enable = yes/, evidence: /EHLO after TLS offers/ },
  },
  {
    name: 'auth-on-25',
    fault: 'AUTH offered on port 25',
    keep: [{ by: 'postfix', port: 25, options: { smtpd_sasl_auth_enable: 'yes' } }],
    expect: { check: 'auth', status: 'warn', title: /AUTH is offered on port 25/, cause: /between servers/, fix: /465 and 587 only/, evidence: /PLAIN/ },
  },
  {
    name: 'right-password',
    fault: null,
    keep: [{ by: 'postfix', port: 587 }],
    ...AS_ZOO,
    expect: null,
  },
  {
    name: 'wrong-password',
    fault: 'wrong credentials, 535',
    keep: [{ by: 'dovecot', ports: [587] }],
    args: ['--user', 'zoo'],
    password: 'wrong',
    expect: { check: 'login', status: 'fail', title: /wrong credentials/, cause: /no such user and password/, fix: /app password/, evidence: /^535 5\.7\.8/ },
  },
  {
    name: 'wrong-password-exim',
    fault: 'wrong credentials, 535, at another server',
    keep: [{ by: 'exim', ports: [465] }],
    args: ['--user', 'zoo'],
    password: 'wrong',
    expect: { check: 'login', status: 'fail', title: /wrong credentials/, cause: /no such user and password/, fix: /Check user name and password/, evidence: /^535/ },
  },
  {
    name: 'password-backend-dead',
    fault: 'the server cannot check logins now',
    keep: [
      {
        by: 'exim',
        ports: [587],
        authenticators:
          'plain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n  server_condition = ${lookup{$auth2}lsearch{/nowhere/passwords}{true}{false}}\n  server_advertise_condition = ${if def:tls_in_cipher}',
      },
    ],
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /cannot check logins now/, cause: /backend/, fix: /operator should look/, evidence: /^4\d\d / },
  },
  {
    name: 'app-password-wanted',
    fault: 'the account wants an app password, 534',
    keep: refuses('534 5.7.9 Application-specific password required'),
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /another way to log in/, cause: /two-factor/, fix: /app password or OAuth 2/, evidence: /^534 5\.7\.9/ },
  },
  {
    name: 'login-wants-tls',
    fault: 'the login is refused with 530: something else first',
    keep: refuses('530 5.7.0 Must issue a STARTTLS command first'),
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /TLS or another step/, cause: /before the login/, fix: /STARTTLS, or on 465/, evidence: /^530 5\.7\.0/ },
  },
  {
    name: 'login-temporary',
    fault: 'the login is refused with 454: for now',
    keep: refuses('454 4.7.0 Temporary authentication failure'),
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /cannot check logins now/, cause: /may be right/, fix: /Try again/, evidence: /^454 4\.7\.0/ },
  },
  {
    name: 'login-needs-encryption',
    fault: 'the login is refused with 538: the mechanism wants encryption',
    keep: refuses('538 5.7.11 Encryption required for requested authentication mechanism'),
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /encryption is wanted/, cause: /under TLS only/, fix: /465/, evidence: /^538 5\.7\.11/ },
  },
  {
    name: 'too-many-logins',
    fault: 'too many logins, 421',
    keep: refuses('421 4.7.0 Too many login attempts'),
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /too many tries/, cause: /limits logins/, fix: /Wait/, evidence: /^421 4\.7\.0/ },
  },
  {
    name: 'no-common-mechanism',
    fault: 'only NTLM is offered',
    keep: [
      {
        by: 'aiosmtpd',
        port: 587,
        options: "authenticator=lambda *_: AuthResult(success=False), auth_exclude_mechanism=['LOGIN', 'PLAIN'], auth_required=True",
        server: 'async def auth_NTLM(self, server, args):\n    return AuthResult(success=False)',
      },
    ],
    ...AS_ZOO,
    expect: { check: 'login', status: 'fail', title: /no mechanism in common/i, cause: /offers NTLM/, fix: /PLAIN/, evidence: /NTLM/ },
  },
];
