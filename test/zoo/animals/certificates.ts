// Certificates with one fault each.

import type { Animal } from '../animal.ts';

/** OpenSSL takes keys and signatures that are too weak only when it is told to. */
const WEAK = { tls_medium_cipherlist: 'ALL:@SECLEVEL=0', tls_high_cipherlist: 'ALL:@SECLEVEL=0' };

export const CERTIFICATES: readonly Animal[] = [
  {
    name: 'expired',
    fault: 'certificate expired three days ago',
    keep: [{ by: 'postfix', port: 587, certificate: 'expired' }],
    expect: {
      check: 'certificate-expiry',
      status: 'fail',
      title: /certificate expired/,
      cause: /has expired/,
      fix: /Renew the certificate/,
      evidence: /CN=expired\.zoo\.test: valid until \S+, 3 days ago/,
    },
  },
  {
    name: 'expired-mx',
    fault: 'certificate expired, on port 25',
    keep: [{ by: 'exim', ports: [25], certificate: 'expired' }],
    expect: { check: 'certificate-expiry', status: 'warn', title: /certificate expired/, cause: /has expired/, fix: /Renew/, evidence: /valid until/ },
  },
  {
    name: 'not-yet-valid',
    fault: 'certificate valid from next week on',
    keep: [{ by: 'exim', ports: [465], certificate: 'early' }],
    expect: { check: 'certificate-expiry', status: 'fail', title: /not valid yet/, cause: /clock/, fix: /clocks/, evidence: /valid from/ },
  },
  {
    name: 'expires-soon',
    fault: 'certificate ends in three days',
    keep: [{ by: 'dovecot', ports: [587], certificate: 'soon' }],
    expect: { check: 'certificate-expiry', status: 'warn', title: /expires soon/, cause: /ends in [23] days/, fix: /Renew it now/, evidence: /[23] days left/ },
  },
  {
    name: 'self-signed',
    fault: 'self-signed certificate',
    keep: [{ by: 'postfix', port: 465, implicit: true, certificate: 'self-signed' }],
    expect: {
      check: 'certificate-chain',
      status: 'fail',
      title: /self-signed/,
      cause: /signed by itself/,
      fix: /public authority/,
      evidence: /CN=self-signed\.zoo\.test {2}<- {2}CN=self-signed/,
    },
  },
  {
    name: 'wrong-name',
    fault: 'certificate of another host',
    keep: [{ by: 'nginx', ports: [587], certificate: 'wrong-name', serves: 'mail' }],
    expect: {
      check: 'certificate-name',
      status: 'fail',
      title: /for another name/,
      cause: /does not name wrong-name\.zoo\.test/,
      fix: /Connect by a name in it \(mail\.elsewhere\.test\)/,
      evidence: /asked for wrong-name\.zoo\.test; the certificate is for mail\.elsewhere\.test/,
    },
  },
  {
    name: 'common-name-only',
    fault: 'certificate without a subject alternative name',
    keep: [{ by: 'dovecot', ports: [465], certificate: 'no-alternative-name' }],
    expect: { check: 'certificate-name', status: 'fail', title: /for another name/, cause: /common name no longer counts/, fix: /as DNS name/, evidence: /no names/ },
  },
  {
    name: 'incomplete-chain',
    fault: 'intermediate certificate not sent',
    keep: [{ by: 'stunnel', port: 465, to: 10_025, certificate: 'incomplete' }, plain()],
    expect: {
      check: 'certificate-chain',
      status: 'fail',
      title: /chain incomplete/,
      cause: /does not send the intermediate/,
      fix: /full chain.*fullchain\.pem/,
      evidence: /not sent, and not known here: CN=Zoo Intermediate/,
    },
  },
  {
    name: 'expired-intermediate',
    fault: 'intermediate certificate expired',
    keep: [{ by: 'haproxy', port: 465, to: 10_025, tls: '', certificate: 'expired-intermediate' }, plain()],
    expect: {
      check: 'certificate-expiry',
      status: 'fail',
      title: /certificate expired/,
      cause: /intermediate certificate in the chain has expired/,
      fix: /Renew/,
      evidence: /CN=Zoo Old Intermediate/,
    },
  },
  {
    name: 'private-authority',
    fault: 'certificate of an authority that nobody knows',
    keep: [{ by: 'exim', ports: [587], certificate: 'private-authority' }],
    expect: {
      check: 'certificate-chain',
      status: 'fail',
      title: /unknown authority/,
      cause: /root that this machine does not trust/,
      fix: /public authority/,
      evidence: /CN=Somebody Else Root/,
    },
  },
  {
    name: 'rsa-1024',
    fault: 'RSA key of 1024 bits',
    keep: [{ by: 'postfix', port: 587, certificate: 'rsa-1024', options: WEAK }],
    expect: {
      check: 'certificate-key',
      status: 'fail',
      title: /weak certificate/,
      cause: /weaker than clients accept/,
      fix: /ECDSA P-256, or RSA of 2048/,
      evidence: /RSA of 1024 bits/,
    },
  },
  {
    name: 'sha-1',
    fault: 'certificate signed with SHA-1',
    keep: [{ by: 'postfix', port: 465, implicit: true, certificate: 'sha-1', options: WEAK }],
    expect: { check: 'certificate-key', status: 'fail', title: /weak certificate/, cause: /weaker than clients accept/, fix: /signed with SHA-256/, evidence: /sha1/i },
  },
  {
    name: 'sni-needed',
    fault: 'no handshake for clients without SNI',
    keep: [{ by: 'haproxy', port: 465, to: 10_025, tls: 'strict-sni' }, plain()],
    expect: { check: 'certificate-name', status: 'warn', title: /without SNI/, cause: /do not send the name/, fix: /default certificate/, evidence: /without SNI/ },
  },
];

/** A plain Postfix behind something that puts TLS around it. */
function plain(): Animal['keep'][number] {
  return { by: 'postfix', port: 10_025, certificate: null, options: { smtpd_tls_auth_only: 'no' } };
}
