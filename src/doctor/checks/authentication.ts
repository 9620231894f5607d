// AUTH: offered in the clear or not, which mechanisms after TLS, and what the server says to the credentials that were given. RFC 4954.

import { replyText } from '#doctor/probes/conversation.ts';
import { isSubmission, ms } from './check.ts';
import type { PortCheck } from './check.ts';

export const authBeforeTls: PortCheck = {
  id: 'auth-before-tls',
  title: 'AUTH before TLS',
  judge(evidence) {
    const { capabilities, mode, role } = evidence;
    if (mode === 'implicit' || capabilities === null) return null;
    const { auth } = capabilities;
    if (auth.length === 0) return { status: 'pass', evidence: 'AUTH is not offered before TLS' };
    const readable = auth.some((mechanism) => mechanism === 'PLAIN' || mechanism === 'LOGIN');
    return {
      status: readable || role === 'submission' ? 'fail' : 'warn',
      title: 'AUTH is offered before TLS',
      evidence: `EHLO in the clear: AUTH ${auth.join(' ')}`,
      cause: readable
        ? 'The server takes passwords on an unencrypted connection: a client without enforced TLS sends them readably.'
        : 'The server lets clients log in without TLS.',
      fix: 'Offer AUTH after TLS only (Postfix: smtpd_tls_auth_only = yes; Exim: auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}).',
    };
  },
};

const MECHANISMS: Readonly<Record<string, string>> = {
  PLAIN: 'user and password in Base64; fine under TLS',
  LOGIN: 'the same in two steps; for old clients',
  'CRAM-MD5': 'outdated: needs the password readable on the server',
  'DIGEST-MD5': 'outdated (RFC 6331)',
  NTLM: 'outdated, Microsoft only',
  'SCRAM-SHA-1': 'the password never crosses the wire',
  'SCRAM-SHA-256': 'the password never crosses the wire',
  'SCRAM-SHA-256-PLUS': 'and it is bound to this TLS connection',
  XOAUTH2: 'an OAuth 2 token instead of a password',
  OAUTHBEARER: 'an OAuth 2 token instead of a password',
  GSSAPI: 'Kerberos',
  EXTERNAL: 'the client certificate is the login',
};

export const authMechanisms: PortCheck = {
  id: 'auth',
  title: 'AUTH mechanisms',
  judge(evidence) {
    const { capabilitiesTls, role } = evidence;
    if (capabilitiesTls === null) return null;
    const { auth } = capabilitiesTls;
    if (auth.length === 0) {
      if (!isSubmission(evidence)) return { status: 'pass', evidence: 'AUTH is not offered (right for mail between servers)' };
      return {
        status: 'fail',
        title: 'no AUTH after TLS',
        evidence: `EHLO after TLS offers ${[...capabilitiesTls.keywords.keys()].join(' ') || 'nothing'}`,
        cause: 'Nobody can log in on this submission port: SASL is not enabled on the server, or its backend does not run.',
        fix: 'Enable SASL (Postfix: smtpd_sasl_auth_enable = yes with Dovecot or Cyrus) and look at the log for what its backend says.',
      };
    }
    const text = auth.map((mechanism) => `${mechanism}: ${MECHANISMS[mechanism] ?? 'not known here'}`).join('\n');
    if (role === 'mx')
      return {
        status: 'warn',
        title: 'AUTH is offered on port 25',
        evidence: text,
        cause: 'Port 25 is for mail between servers; logins there are guessed at day and night.',
        fix: 'Offer AUTH on 465 and 587 only.',
      };
    return { status: 'pass', evidence: text };
  },
};

export const login: PortCheck = {
  id: 'login',
  title: 'login',
  judge({ login: tried, capabilitiesTls }) {
    if (tried === null) return null;
    if ('withheld' in tried)
      return {
        status: 'skip',
        title: 'login not tried',
        evidence: `the certificate does not verify (${tried.withheld}): the password would go to whoever answers. Mend the certificate, name its authority with --ca-file, or say --insecure`,
      };
    const durationMs = tried.ms;
    const failure = tried.value;
    if (failure === null) return { status: 'pass', evidence: `235: the credentials are right (${ms(tried.ms)})`, durationMs };
    const evidence = failure.reply === null ? failure.text : replyText(failure.reply);
    const no = (title: string, cause: string, fix: string) => ({ status: 'fail' as const, title, evidence, cause, fix, durationMs });
    switch (failure.reply?.code) {
      case 535:
        return no(
          'wrong credentials',
          'The server knows no such user and password: mistyped, changed, or an API key of another environment; some providers want an app password, or the address on their allowlist.',
          'Check user name and password (user may be the whole address), create an app password where the provider asks for one, and check the IP allowlist.',
        );
      case 534:
        return no(
          'another way to log in is wanted',
          'The server refuses this mechanism for this account: two-factor login, or a policy against plain passwords.',
          'Use an app password or OAuth 2, as the reply says; enable SMTP AUTH for the mailbox.',
        );
      case 530:
        return no('TLS or another step is wanted first', 'The server wants something before the login: usually TLS.', 'Log in after STARTTLS, or on 465.');
      case 538:
        return no('encryption is wanted for this mechanism', 'The mechanism is allowed under TLS only.', 'Log in after STARTTLS, or on 465.');
      case 432:
      case 435:
      case 454:
        return no(
          'the server cannot check logins now',
          'A temporary fault of the server: its password backend does not answer. The credentials may be right.',
          'Try again in some minutes; the operator should look at the SASL backend (Dovecot auth, LDAP, database).',
        );
      case 421:
      case 450:
      case 451:
        return no(
          'too many tries or connections',
          'The server limits logins or connections from this address.',
          'Wait, use fewer connections, and do not try wrong passwords again and again.',
        );
      case undefined:
        if (failure.kind === 'policy')
          return no(
            'no mechanism in common',
            `The server offers ${capabilitiesTls?.auth.join(' ') ?? 'none'}, and none of it can be done with a user name and a password.`,
            'Have the server offer PLAIN or SCRAM-SHA-256 after TLS (Dovecot: auth_mechanisms = plain login); or log in by what it offers, with a client that knows it.',
          );
        return no('login did not come about', `The conversation broke: ${failure.text}.`, 'Look at the log of the server.');
      default:
        return no('login refused', 'The server refused the login.', 'Read the reply above; check the account in the panel of the provider.');
    }
  },
};
