// TLS that cannot be had, or only the old one; STARTTLS that is hidden, refused, or lies.

import type { Animal } from '../animal.ts';

/** Says that TLS is to begin, and does not begin. */
const SPEAKS = (afterStarttls: string): string => `printf '220 liar ESMTP\\r\\n'
while read -r line; do
  case "$line" in
    EHLO*) printf '250-liar\\r\\n250-STARTTLS\\r\\n250 SIZE 50000000\\r\\n' ;;
    STARTTLS*) ${afterStarttls} ;;
    QUIT*) printf '221 bye\\r\\n'; exit ;;
    *) printf '500 5.5.2 no\\r\\n' ;;
  esac
done`;

export const ENCRYPTION: readonly Animal[] = [
  {
    name: 'tls-1.0-only',
    fault: 'TLS 1.0 and nothing newer',
    keep: [
      {
        by: 'postfix',
        port: 587,
        options: { smtpd_tls_protocols: 'TLSv1', smtpd_tls_mandatory_protocols: 'TLSv1', tls_medium_cipherlist: 'ALL:@SECLEVEL=0', tls_high_cipherlist: 'ALL:@SECLEVEL=0' },
      },
    ],
    expect: {
      check: 'tls-versions',
      status: 'fail',
      title: /only TLSv1 is accepted/,
      cause: /nothing newer than TLSv1/,
      fix: />=TLSv1\.2/,
      evidence: /TLSv1 yes .*TLSv1\.2 no, TLSv1\.3 no/,
    },
    follows: ['starttls', 'downgrade'],
  },
  {
    name: 'tls-1.1-only',
    fault: 'TLS 1.1 and nothing newer, from the first byte',
    keep: [{ by: 'exim', ports: [465], ciphers: 'NORMAL:-VERS-ALL:+VERS-TLS1.1:%COMPAT' }],
    expect: { check: 'tls-versions', status: 'fail', title: /only TLSv1\.1 is accepted/, cause: /nothing newer than TLSv1\.1/, fix: /TLS 1\.2 and 1\.3/, evidence: /TLSv1\.1 yes/ },
    follows: ['tls'],
  },
  {
    name: 'old-tls-too',
    fault: 'TLS 1.0 and 1.1 beside newer ones',
    keep: [{ by: 'exim', ports: [587], ciphers: 'NORMAL:+VERS-ALL' }],
    expect: { check: 'tls-versions', status: 'warn', title: /TLSv1 and TLSv1\.1 .*accepted/, cause: /RFC 8996/, fix: /TLS 1\.2 and 1\.3 only/, evidence: /TLSv1 yes/ },
  },
  {
    name: 'weak-cipher',
    fault: 'only a cipher without forward secrecy, in CBC mode',
    keep: [
      { by: 'stunnel', port: 465, to: 10_025, certificate: 'good-rsa', lines: 'sslVersionMax = TLSv1.2\nciphers = AES128-SHA' },
      { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } },
    ],
    expect: { check: 'tls', status: 'warn', title: /weak cipher/, cause: /forward secrecy/, fix: /AEAD ciphers/, evidence: /TLS_RSA_WITH_AES_128_CBC_SHA/ },
  },
  {
    name: 'no-common-cipher',
    fault: 'anonymous ciphers only: no certificate is shown',
    keep: [
      { by: 'stunnel', port: 465, to: 10_025, lines: 'sslVersionMax = TLSv1.2\nciphers = ADH:@SECLEVEL=0' },
      { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } },
    ],
    expect: { check: 'tls', status: 'fail', title: /TLS handshake failed/, cause: /cipher in common/, fix: /TLS 1\.2 and 1\.3/, evidence: /handshake failure/ },
  },
  {
    name: 'weak-key-exchange',
    fault: 'Diffie-Hellman of 1024 bits only',
    keep: [
      { by: 'stunnel', port: 465, to: 10_025, certificate: 'good-rsa', weakDh: true, lines: 'sslVersionMax = TLSv1.2\nciphers = DHE-RSA-AES256-GCM-SHA384:@SECLEVEL=0' },
      { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } },
    ],
    expect: { check: 'tls', status: 'fail', title: /TLS handshake failed/, cause: /weaker than clients of today accept/, fix: /2048 bits or more/, evidence: /dh key too small/ },
  },
  {
    name: 'client-certificate',
    fault: 'the server wants a certificate of the client',
    keep: [
      { by: 'stunnel', port: 465, to: 10_025, lines: 'verifyChain = yes\nCAfile = AUTHORITY' },
      { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } },
    ],
    expect: {
      check: 'banner',
      status: 'fail',
      title: /client certificate is wanted/,
      cause: /mutual TLS/,
      fix: /verifyChain = no/,
      evidence: /certificate required \(alert 116\)/,
    },
  },
  {
    name: 'no-smtp-inside',
    fault: 'TLS works on 465, and nothing speaks inside of it',
    keep: [{ by: 'openssl', port: 465 }],
    args: ['--timeout', '3'],
    expect: { check: 'banner', status: 'fail', title: /no greeting/, cause: /says nothing/, fix: /log of the server/, evidence: /timed out/ },
  },
  {
    name: 'no-smtp-expired',
    fault: 'the same with an expired certificate',
    keep: [{ by: 'openssl', port: 465, certificate: 'expired' }],
    args: ['--timeout', '3'],
    expect: { check: 'certificate-expiry', status: 'fail', title: /certificate expired/, cause: /has expired/, fix: /Renew/, evidence: /3 days ago/ },
    follows: ['banner'],
  },
  {
    name: 'no-starttls',
    fault: 'STARTTLS not offered on 587',
    keep: [{ by: 'postfix', port: 587, certificate: null }],
    expect: { check: 'starttls', status: 'fail', title: /not offered/, cause: /stripping|removes it/, fix: /smtpd_tls_security_level/, evidence: /EHLO offers/ },
    follows: ['downgrade'],
  },
  {
    name: 'no-starttls-mx',
    fault: 'STARTTLS not offered on 25',
    keep: [{ by: 'opensmtpd', port: 25, certificate: null }],
    expect: { check: 'starttls', status: 'warn', title: /not offered/, cause: /mail arrives here in the clear/, fix: /Enable TLS/, evidence: /EHLO offers/ },
    follows: ['downgrade'],
  },
  {
    name: 'starttls-stripped',
    fault: 'a proxy takes STARTTLS out of the answer to EHLO',
    keep: [
      { by: 'socat', port: 587, to: 10_587, shell: 'BEHIND | sed -u /^250.STARTTLS/d' },
      { by: 'postfix', port: 10_587 },
    ],
    expect: {
      check: 'starttls',
      status: 'fail',
      title: /STARTTLS is stripped/,
      cause: /takes STARTTLS out of the answer/,
      fix: /Use 465/,
      evidence: /STARTTLS is answered with "220 /,
    },
    follows: ['downgrade'],
  },
  {
    name: 'starttls-blocked',
    fault: 'a proxy takes STARTTLS out of the answer to EHLO, and the command too',
    keep: [
      { by: 'socat', port: 25, to: 10_025, shell: 'sed -u s/^STARTTLS/XXXXXXXX/ | BEHIND | sed -u /^250.STARTTLS/d' },
      { by: 'postfix', port: 10_025, options: { smtpd_tls_security_level: 'encrypt' } },
    ],
    expect: {
      check: 'starttls',
      status: 'fail',
      title: /STARTTLS is stripped/,
      cause: /proxy, firewall or virus scanner/,
      fix: /SMTP inspection/,
      evidence: /MAIL is answered with "530 5\.7\.0 Must issue a STARTTLS command first"/,
    },
    follows: ['downgrade', 'auth'],
  },
  {
    name: 'starttls-masked',
    fault: 'a firewall overwrites STARTTLS with XXXXXXXA',
    keep: [
      { by: 'socat', port: 587, to: 10_587, shell: 'BEHIND | sed -u s/^250-STARTTLS/250-XXXXXXXA/' },
      { by: 'postfix', port: 10_587 },
    ],
    expect: { check: 'ehlo', status: 'fail', title: /tampered with/, cause: /XXXXXXXA.*hides STARTTLS/, fix: /no inspect esmtp/, evidence: /XXXXXXXA/ },
    follows: ['starttls', 'downgrade'],
  },
  {
    name: 'starttls-refused',
    fault: 'STARTTLS offered and answered with 454: the key does not fit the certificate',
    keep: [{ by: 'postfix', port: 587, options: { smtpd_tls_key_file: '/etc/hostname' } }],
    expect: {
      check: 'starttls',
      status: 'fail',
      title: /offered, but refused/,
      cause: /no usable certificate/,
      fix: /certificate, key/,
      evidence: /454 4\.7\.0 TLS not available/,
    },
    follows: ['downgrade'],
  },
  {
    name: 'starttls-hangs',
    fault: 'STARTTLS granted, then silence',
    keep: [{ by: 'socat', port: 587, shell: SPEAKS(`printf '220 2.0.0 go\\r\\n'; cat >/dev/null`) }],
    args: ['--timeout', '3'],
    expect: { check: 'starttls', status: 'fail', title: /no handshake comes about/, cause: /says nothing more/, fix: /TLS log/, evidence: /220 2\.0\.0 go\nthen: .*timed out/ },
    follows: ['downgrade'],
  },
  {
    name: 'starttls-lies',
    fault: 'STARTTLS granted, then plain text goes on',
    keep: [{ by: 'socat', port: 587, shell: SPEAKS(`printf '220 2.0.0 go\\r\\n'`) }],
    args: ['--timeout', '3'],
    expect: { check: 'starttls', status: 'fail', title: /no handshake comes about/, cause: /goes on in the clear/, fix: /TLS log/, evidence: /220 2\.0\.0 go\nthen: / },
    follows: ['downgrade'],
  },
  {
    name: 'starttls-drops',
    fault: 'STARTTLS answered by closing the connection',
    keep: [{ by: 'socat', port: 587, shell: SPEAKS('exit 0') }],
    expect: { check: 'starttls', status: 'fail', title: /offered, not answered/, cause: /breaks off/, fix: /certificate or key/, evidence: /closed the connection/ },
    follows: ['downgrade'],
  },
  {
    name: 'injection',
    fault: 'what comes in the clear behind STARTTLS is run after it (CVE-2011-0411)',
    keep: [{ by: 'aiosmtpd', port: 587, server: BUFFERS(), options: 'authenticator=lambda *_: AuthResult(success=False), auth_required=True' }],
    expect: { check: 'injection', status: 'fail', title: /run after it/, cause: /CVE-2011-0411/, fix: /drop its input buffer/, evidence: /XPOSTERN/ },
  },
  {
    name: 'plain-on-465',
    fault: 'port 465 speaks in the clear',
    keep: [{ by: 'postfix', port: 465 }],
    expect: {
      check: 'tls',
      status: 'fail',
      title: /port 465 speaks in the clear/,
      cause: /TLS from the first byte/,
      fix: /smtpd_tls_wrappermode = yes/,
      evidence: /greeted with "220 /,
    },
    follows: ['downgrade'],
  },
  {
    name: 'tls-on-587',
    fault: 'port 587 speaks TLS from the first byte',
    keep: [
      { by: 'stunnel', port: 587, to: 10_025 },
      { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } },
    ],
    args: ['--timeout', '3'],
    expect: { check: 'banner', status: 'fail', title: /TLS expected from the first byte/, cause: /implicit TLS/, fix: /SSL\/TLS/, evidence: /TLS handshake works/ },
  },
];

/** aiosmtpd, as it would be if it kept its buffer: what came with STARTTLS is put in front of what comes under TLS. */
function BUFFERS(): string {
  return `early = b''
def data_received(self, data):
    if self._over_ssl_late and self.early:
        data, self.early = self.early + data, b''
    line, _, rest = data.partition(b'\\r\\n')
    if line.upper() == b'STARTTLS' and rest:
        self.early, data = rest, line + b'\\r\\n'
    super().data_received(data)

@property
def _over_ssl_late(self):
    return self._tls_protocol is not None`;
}
