// Domains: what they publish of themselves, right and wrong. Most let one healthy server take their mail.

import { LISTED } from '../animal.ts';
import type { Animal } from '../animal.ts';

const HOST = 'healthy-postfix.zoo.test';
const ADDRESS_HOST = '@ MX 10 mx\nmx A ADDRESS';
/** The key of RFC 8463 A.2. */
const DKIM = 's1._domainkey TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="';

type Records = { readonly mx?: string; readonly spf?: string; readonly dkim?: string; readonly dmarc?: string; readonly more?: string };

/** The records of a domain that is right, but for what is given. */
const records = ({ mx = `@ MX 10 ${HOST}.`, spf = '@ TXT "v=spf1 mx -all"', dkim = DKIM, dmarc = '_dmarc TXT "v=DMARC1; p=reject"', more = '' }: Records = {}): string =>
  [mx, spf, dkim, dmarc, more].filter((line) => line !== '').join('\n');

const about = (name: string, ...args: string[]): Pick<Animal, 'name' | 'beside' | 'target' | 'args'> => ({
  name,
  beside: ['healthy-postfix'],
  target: `${name}.test`,
  args: ['--as', 'domain', '--selector', 's1', ...(args.includes('--blocklist') ? [] : ['--blocklist', 'none']), ...args],
});

/** A domain with this policy, served by nginx. */
const withPolicy = (
  name: string,
  policy: string,
  options: { readonly location?: string; readonly certificate?: 'self-signed' | 'expired'; readonly mx?: string } = {},
): Animal['keep'] => [
  {
    by: 'knot',
    records: records({ ...(options.mx === undefined ? {} : { mx: options.mx }), more: '_mta-sts TXT "v=STSv1; id=20260101;"\nmta-sts A ADDRESS' }),
  },
  {
    by: 'nginx',
    ports: [443],
    host: `mta-sts.${name}.test`,
    ...(options.certificate === undefined ? {} : { certificate: options.certificate }),
    serves: { web: `TLS\nlocation = /.well-known/mta-sts.txt { ${options.location ?? `return 200 "${policy.replaceAll('\n', '\\r\\n')}"`}; }` },
  },
];

const policyText = (mode: string, mx = HOST): string => `version: STSv1\nmode: ${mode}\nmx: ${mx}\nmax_age: 604800\n`;

export const DOMAINS: readonly Animal[] = [
  {
    ...about('healthy-domain'),
    fault: null,
    keep: withPolicy('healthy-domain', policyText('enforce')),
    expect: null,
  },
  {
    ...about('healthy-dane'),
    fault: null,
    keep: [
      { by: 'knot', signed: true, records: records({ mx: ADDRESS_HOST, more: '_25._tcp.mx TLSA 3 1 1 KEY' }), reverse: 'mx.healthy-dane.test' },
      { by: 'postfix', port: 25, host: 'mx.healthy-dane.test' },
    ],
    expect: null,
  },
  {
    ...about('healthy-dane-self-signed'),
    fault: null,
    keep: [
      {
        by: 'knot',
        signed: true,
        certificate: 'self-signed',
        records: records({ mx: ADDRESS_HOST, more: '_25._tcp.mx TLSA 3 1 1 KEY' }),
        reverse: 'mx.healthy-dane-self-signed.test',
      },
      { by: 'postfix', port: 25, host: 'mx.healthy-dane-self-signed.test', certificate: 'self-signed' },
    ],
    expect: null,
  },
  {
    ...about('null-mx'),
    fault: 'the domain takes no mail (null MX)',
    keep: [{ by: 'knot', records: records({ mx: '@ MX 0 .', spf: '@ TXT "v=spf1 -all"' }) }],
    expect: { check: 'mx', status: 'pass', title: /takes no mail, and says so/, evidence: /null MX/ },
  },
  {
    ...about('mx-to-nothing'),
    fault: 'the MX record names a host that does not exist',
    keep: [{ by: 'knot', records: records({ mx: '@ MX 10 gone', spf: '@ TXT "v=spf1 -all"' }) }],
    expect: {
      check: 'mx',
      status: 'fail',
      title: /no mail host can be reached/,
      cause: /None of the mail hosts has an address/,
      fix: /A record/,
      evidence: /10 gone\.mx-to-nothing\.test: no address/,
    },
  },
  {
    ...about('mx-to-alias'),
    fault: 'the MX record names an alias',
    keep: [{ by: 'knot', records: records({ mx: `@ MX 10 mail\nmail CNAME ${HOST}.` }) }],
    expect: { check: 'mx', status: 'warn', title: /names an alias/, cause: /RFC 2181/, fix: new RegExp(`name ${HOST}`), evidence: /is a CNAME for/ },
    follows: ['certificate-name'],
  },
  {
    ...about('mx-to-address'),
    fault: 'the MX record holds an address instead of a name',
    keep: [{ by: 'knot', records: records({ mx: '@ MX 10 192.0.2.25.', spf: '@ TXT "v=spf1 ip4:192.0.2.25 -all"' }) }],
    expect: { check: 'mx', status: 'fail', title: /name no hosts/, cause: /must hold a host name/, fix: /10 mx\.example\.com/, evidence: /192\.0\.2\.25/ },
  },
  {
    ...about('mx-dead'),
    fault: 'one of two mail hosts takes no connection',
    beside: ['healthy-postfix', 'refused'],
    keep: [{ by: 'knot', records: records({ mx: `@ MX 10 ${HOST}.\n@ MX 20 refused.zoo.test.` }) }],
    expect: { check: 'tcp', status: 'fail', title: /refused/, cause: /nothing listens on port 25/, fix: /ss -ltn/, evidence: /ECONNREFUSED/ },
  },
  {
    ...about('no-mx'),
    fault: 'no MX record: mail goes to the address of the domain',
    keep: [
      { by: 'knot', records: records({ mx: '@ A ADDRESS' }).replace('v=spf1 mx', 'v=spf1 a'), reverse: 'no-mx.test' },
      { by: 'postfix', port: 25, host: 'no-mx.test' },
    ],
    expect: { check: 'mx', status: 'warn', title: /no MX record/, cause: /often is a web server/, fix: /Add an MX record/, evidence: /taken from the address of no-mx\.test/ },
  },
  {
    ...about('spf-missing'),
    fault: 'no SPF record',
    keep: [{ by: 'knot', records: records({ spf: '' }) }],
    expect: { check: 'spf', status: 'fail', title: /no SPF record/, cause: /who may send/, fix: /v=spf1 mx -all/, evidence: /begins with v=spf1/ },
  },
  {
    ...about('spf-twice'),
    fault: 'two SPF records',
    keep: [{ by: 'knot', records: records({ spf: '@ TXT "v=spf1 mx -all"\n@ TXT "v=spf1 a -all"' }) }],
    expect: { check: 'spf', status: 'fail', title: /duplicate SPF/, cause: /permerror/, fix: /Merge them/, evidence: /v=spf1 a -all/ },
  },
  {
    ...about('spf-lookups'),
    fault: 'SPF with eleven look-ups',
    keep: [
      {
        by: 'knot',
        records: records({
          spf: `@ TXT "v=spf1 ${Array.from({ length: 10 }, (_, i) => `include:i${i}.spf-lookups.test`).join(' ')} mx -all"\n${Array.from({ length: 10 }, (_, i) => `i${i} TXT "v=spf1 ip4:192.0.2.${i} -all"`).join('\n')}`,
        }),
      },
    ],
    expect: { check: 'spf', status: 'fail', title: /too many look-ups/, cause: /needs 11 look-ups/, fix: /ip4:/, evidence: /11 of 10 look-ups/ },
  },
  {
    ...about('spf-open'),
    fault: 'SPF allows everybody (+all)',
    keep: [{ by: 'knot', records: records({ spf: '@ TXT "v=spf1 mx +all"' }) }],
    expect: { check: 'spf', status: 'fail', title: /allows everybody/, cause: /any machine may send/, fix: /-all/, evidence: /\+all/ },
  },
  {
    ...about('spf-broken'),
    fault: 'SPF with a mistyped mechanism',
    keep: [{ by: 'knot', records: records({ spf: '@ TXT "v=spf1 mx ipv4:192.0.2.1 -all"' }) }],
    expect: { check: 'spf', status: 'fail', title: /SPF is broken/, cause: /ipv4/, fix: /Correct or remove the term/, evidence: /ipv4:192/ },
  },
  {
    ...about('dkim-missing'),
    fault: 'the DKIM key of the selector in use is missing',
    keep: [{ by: 'knot', records: records({ dkim: '' }) }],
    expect: { check: 'dkim', status: 'fail', title: /missing/, cause: /cannot be verified/, fix: /Publish the key/, evidence: /nothing at s1\._domainkey/ },
  },
  {
    ...about('dkim-revoked'),
    fault: 'the DKIM key in use is revoked',
    keep: [{ by: 'knot', records: records({ dkim: 's1._domainkey TXT "v=DKIM1; p="' }) }],
    expect: { check: 'dkim', status: 'fail', title: /s1 is revoked/, cause: /p= is empty/, fix: /selector that came after/, evidence: /p=$/ },
  },
  {
    ...about('dkim-broken'),
    fault: 'the DKIM key is cut off',
    keep: [{ by: 'knot', records: records({ dkim: 's1._domainkey TXT "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCg"' }) }],
    expect: { check: 'dkim', status: 'fail', title: /DKIM key s1/, cause: /do not verify/, fix: /exactly as the signing service shows it/, evidence: /MIIBIjAN/ },
  },
  {
    ...about('dmarc-malformed'),
    fault: 'DMARC without a valid policy',
    keep: [{ by: 'knot', records: records({ dmarc: '_dmarc TXT "v=DMARC1; policy=reject"' }) }],
    expect: { check: 'dmarc', status: 'fail', title: /not valid/, cause: /no valid policy/, fix: /p=none, p=quarantine or p=reject/, evidence: /policy=reject/ },
  },
  {
    ...about('dmarc-twice'),
    fault: 'two DMARC records',
    keep: [{ by: 'knot', records: records({ dmarc: '_dmarc TXT "v=DMARC1; p=none"\n_dmarc TXT "v=DMARC1; p=reject"' }) }],
    expect: { check: 'dmarc', status: 'fail', title: /duplicate DMARC/, cause: /count as none/, fix: /Keep one TXT record/, evidence: /p=reject/ },
  },
  {
    ...about('dmarc-watches'),
    fault: 'DMARC with p=none',
    keep: [{ by: 'knot', records: records({ dmarc: '_dmarc TXT "v=DMARC1; p=none"' }) }],
    expect: { check: 'dmarc', status: 'warn', title: /only watches/, cause: /not stopped/, fix: /p=quarantine/, evidence: /p=none/ },
  },
  {
    ...about('sts-missing'),
    fault: 'MTA-STS announced, no policy served',
    keep: withPolicy('sts-missing', '', { location: 'return 404' }),
    expect: {
      check: 'mta-sts',
      status: 'fail',
      title: /cannot be fetched/,
      cause: /announces a policy/,
      fix: /https:\/\/mta-sts\.sts-missing\.test\/\.well-known\/mta-sts\.txt/,
      evidence: /status 404/,
    },
  },
  {
    ...about('sts-redirect'),
    fault: 'the MTA-STS policy host redirects',
    keep: withPolicy('sts-redirect', '', { location: 'return 301 https://www.sts-redirect.test/mta-sts.txt' }),
    expect: { check: 'mta-sts', status: 'fail', title: /cannot be fetched/, cause: /does not/, fix: /without redirects/, evidence: /redirects are not followed/ },
  },
  {
    ...about('sts-invalid'),
    fault: 'the MTA-STS policy has no mode',
    keep: withPolicy('sts-invalid', 'version: STSv1\nmx: *.zoo.test\nmax_age: 604800\n'),
    expect: { check: 'mta-sts', status: 'fail', title: /policy is not valid/, cause: /cannot read the policy/, fix: /mode: enforce/, evidence: /mode is missing/ },
  },
  {
    ...about('sts-uncovered'),
    fault: 'the MTA-STS policy does not name the mail host',
    keep: withPolicy('sts-uncovered', policyText('enforce', 'mx.sts-uncovered.test')),
    expect: {
      check: 'mta-sts',
      status: 'fail',
      title: /does not name every mail host/,
      cause: /refuse to deliver there/,
      fix: new RegExp(`"mx: ${HOST}"`),
      evidence: /mx: mx\.sts-uncovered\.test/,
    },
  },
  {
    ...about('sts-certificate'),
    fault: 'the MTA-STS policy host shows a self-signed certificate',
    keep: withPolicy('sts-certificate', policyText('enforce'), { certificate: 'self-signed' }),
    expect: {
      check: 'mta-sts',
      status: 'fail',
      title: /does not prove who it is/,
      cause: /goes unprotected/,
      fix: /certificate of a public authority for mta-sts\.sts-certificate\.test/,
      evidence: /does not verify/,
    },
  },
  {
    ...about('sts-testing'),
    fault: 'MTA-STS in mode testing',
    keep: withPolicy('sts-testing', policyText('testing')),
    expect: { check: 'mta-sts', status: 'warn', title: /mode testing/, cause: /deliver all the same/, fix: /mode: enforce/, evidence: /mode: testing/ },
  },
  {
    ...about('sts-broken-host'),
    beside: ['expired-mx'],
    fault: 'MTA-STS enforced, and the mail host shows an expired certificate',
    keep: [...withPolicy('sts-broken-host', policyText('enforce', 'expired-mx.zoo.test'), { mx: '@ MX 10 expired-mx.zoo.test.' })],
    expect: {
      check: 'mta-sts',
      status: 'fail',
      title: /does not keep the MTA-STS policy/,
      cause: /do not deliver to this host/,
      fix: /mode: testing/,
      evidence: /CERT_HAS_EXPIRED/,
    },
    follows: ['certificate-expiry'],
  },
  {
    ...about('tlsa-mismatch'),
    fault: 'the TLSA record is of another key',
    keep: [
      { by: 'knot', signed: true, records: records({ mx: ADDRESS_HOST, more: `_25._tcp.mx TLSA 3 1 1 ${'ab'.repeat(32)}` }), reverse: 'mx.tlsa-mismatch.test' },
      { by: 'postfix', port: 25, host: 'mx.tlsa-mismatch.test' },
    ],
    expect: {
      check: 'dane',
      status: 'fail',
      title: /no TLSA record matches/,
      cause: /do not deliver to this host/,
      fix: /_25\._tcp\.mx\.tlsa-mismatch\.test/,
      evidence: /3 1 1 abab(.|\n)*key 3 1 1 /,
    },
  },
  {
    ...about('tlsa-unsigned'),
    fault: 'TLSA records in a zone without DNSSEC',
    keep: [
      { by: 'knot', records: records({ mx: ADDRESS_HOST, more: '_25._tcp.mx TLSA 3 1 1 KEY' }), reverse: 'mx.tlsa-unsigned.test' },
      { by: 'postfix', port: 25, host: 'mx.tlsa-unsigned.test' },
    ],
    expect: { check: 'dane', status: 'warn', title: /without DNSSEC/, cause: /Nobody heeds/, fix: /Sign the zones/, evidence: /3 1 1 / },
  },
  {
    ...about('tlsa-pkix'),
    fault: 'TLSA records of a usage that mail does not know',
    keep: [
      { by: 'knot', signed: true, records: records({ mx: ADDRESS_HOST, more: '_25._tcp.mx TLSA 1 1 1 KEY' }), reverse: 'mx.tlsa-pkix.test' },
      { by: 'postfix', port: 25, host: 'mx.tlsa-pkix.test' },
    ],
    expect: { check: 'dane', status: 'fail', title: /mail cannot use/, cause: /usages 2 \(DANE-TA\) and 3/, fix: /3 1 1/, evidence: /1 1 1 / },
  },
  {
    ...about('tlsa-no-tls'),
    fault: 'TLSA records, and a mail host without STARTTLS',
    keep: [
      { by: 'knot', signed: true, records: records({ mx: ADDRESS_HOST, more: '_25._tcp.mx TLSA 3 1 1 KEY' }), reverse: 'mx.tlsa-no-tls.test' },
      { by: 'postfix', port: 25, host: 'mx.tlsa-no-tls.test', certificate: null },
    ],
    expect: { check: 'dane', status: 'fail', title: /TLSA records, but no TLS/, cause: /reached by TLS only/, fix: /remove the TLSA records/, evidence: /STARTTLS is not offered/ },
    follows: ['starttls', 'downgrade'],
  },
  {
    ...about('ptr-missing', '--sending-address', '192.0.2.77'),
    fault: 'the sending address has no PTR record',
    keep: [{ by: 'knot', records: records() }],
    expect: { check: 'ptr', status: 'fail', title: /no PTR record/, cause: /refuse mail from addresses without a name/, fix: /PTR record/, evidence: /192\.0\.2\.77 has no name/ },
  },
  {
    ...about('ptr-elsewhere', '--sending-address', '192.0.2.78'),
    fault: 'the PTR record leads elsewhere',
    keep: [{ by: 'knot', records: records() }],
    expect: { check: 'ptr', status: 'fail', title: /does not lead back/, cause: /forward-confirmed/, fix: /address record with 192\.0\.2\.78/, evidence: /-> elsewhere/ },
  },
  {
    ...about('blocklisted', '--sending-address', LISTED, '--blocklist', 'list.test'),
    fault: 'the sending address is on a blocklist',
    keep: [{ by: 'knot', records: records() }],
    expect: {
      check: 'blocklist',
      status: 'fail',
      title: /on a blocklist/,
      cause: /spam was sent from it/,
      fix: /removal/,
      evidence: /list\.test: 127\.0\.0\.2 spam was sent from here/,
    },
  },
  {
    ...about('greets-as-localhost'),
    fault: 'the mail host greets as localhost',
    keep: [
      { by: 'knot', records: records({ mx: ADDRESS_HOST }), reverse: 'mx.greets-as-localhost.test' },
      { by: 'postfix', port: 25, host: 'mx.greets-as-localhost.test', options: { smtpd_banner: 'localhost ESMTP' } },
    ],
    expect: { check: 'helo-name', status: 'warn', title: /full host name/, cause: /receivers refuse it/, fix: /myhostname/, evidence: /220 localhost/ },
  },
  {
    ...about('dnssec-broken'),
    fault: 'DNSSEC is broken: resolvers that validate give no answer',
    keep: [{ by: 'knot', broken: 'bogus', records: records() }],
    expect: { check: 'mx', status: 'fail', title: /DNS gives no answer/, cause: /DNSSEC is broken/, fix: /its DNSSEC/, evidence: /SERVFAIL/i },
    follows: ['spf', 'dkim', 'dmarc', 'mta-sts', 'tlsrpt'],
  },
  {
    ...about('dns-dead', '--timeout', '3'),
    fault: 'the name servers of the domain do not answer',
    keep: [{ by: 'knot', broken: 'mute', records: '' }],
    expect: { check: 'mx', status: 'fail', title: /DNS gives no answer/, cause: /do not answer/, fix: /name servers/, evidence: /SERVFAIL|no answer|timed out/i },
    follows: ['spf', 'dkim', 'dmarc', 'mta-sts', 'tlsrpt'],
  },
  {
    name: 'healthy-dual-stack',
    fault: null,
    keep: [
      { by: 'postfix', port: 587, host: 'mail.healthy-dual-stack.test' },
      // This machine has no route to it, which is no fault of the host.
      { by: 'knot', records: 'mail A ADDRESS\nmail AAAA 2001:db8::25' },
    ],
    target: 'mail.healthy-dual-stack.test:587',
    expect: null,
  },
  {
    name: 'one-address-dead',
    fault: 'one of two addresses of the host is not served',
    keep: [
      { by: 'postfix', port: 587, host: 'mail.one-address-dead.test' },
      { by: 'knot', records: 'mail A ADDRESS\nmail A 127.19.0.1\nmail A 127.20.254.2' },
    ],
    target: 'mail.one-address-dead.test:587',
    expect: {
      check: 'tcp',
      status: 'fail',
      title: /one of several addresses does not answer/,
      cause: /nothing listens on port 587/,
      fix: /DNS of mail\.one-address-dead\.test/,
      evidence: /ECONNREFUSED/,
    },
  },
  {
    name: 'no-such-host',
    fault: 'the host name does not exist',
    keep: [],
    target: 'mistyped.zoo.test:587',
    expect: { check: 'dns', status: 'fail', title: /the name does not exist/, cause: /mistyped/, fix: /spelling/, evidence: /NXDOMAIN/ },
  },
  {
    name: 'no-address',
    fault: 'the host name has no address',
    keep: [],
    target: 'text-only.zoo.test:587',
    expect: { check: 'dns', status: 'fail', title: /the name has no address/, cause: /no address record/, fix: /A record/, evidence: /neither A nor AAAA/ },
  },
];
