// The advisor's answers: the short ones of each scenario, what evidence does to them, and a right configuration for every library on every port.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { advise } from '#advise/advise.ts';
import type { Advice } from '#advise/advise.ts';
import type { PortLook, Survey } from '#advise/evidence.ts';
import { findLibrary, findProvider } from '#advise/question.ts';
import type { Question } from '#advise/question.ts';
import { LIBRARIES, fillSnippet } from '#knowledge/libraries.ts';
import { PROVIDERS } from '#knowledge/providers.ts';

const NOTHING: Question = {
  scenario: 'app',
  library: null,
  provider: null,
  host: null,
  served: null,
  blocked: [],
  survey: null,
  username: null,
  from: 'you@example.com',
  to: 'friend@example.net',
};
const ask = (more: Partial<Question> = {}): Advice => advise({ ...NOTHING, ...more });
const short = ({ port, encryption }: Pick<Advice, 'port' | 'encryption'>): string => `${port} ${encryption}`;

const GOOD = { connection: 'open', certificate: null, auth: ['PLAIN'] } as const;
const works = (port: number): PortLook => ({ port, ...GOOD, tls: port === 465 ? 'implicit' : 'starttls', text: 'verified' });
const silent = (port: number): PortLook => ({ port, connection: 'timeout', tls: null, certificate: null, auth: null, text: 'no answer within 5.0 s' });
const refused = (port: number): PortLook => ({ ...silent(port), connection: 'refused', text: 'connection refused' });
const session = (...looks: readonly PortLook[]): Partial<Question> => ({
  host: 'relay.example.net',
  survey: { host: 'relay.example.net', depth: 'session', problem: null, looks },
});
const network = (...looks: readonly PortLook[]): Partial<Question> => ({ survey: { host: 'a and b', depth: 'network', problem: null, looks } });

describe('the short answers', () => {
  it('an application: 587 with STARTTLS required; 465 and 2525 besides, 25 never', () => {
    const advice = ask();
    assert.equal(short(advice), '587 starttls-required');
    assert.deepEqual(advice.alternatives.map(short), ['465 implicit-tls', '2525 starttls-required']);
    assert.match(advice.alternatives[1]?.why ?? '', /Only where 587 is blocked/);
    assert.match(advice.why, /25 is for mail between servers, never for handing in/);
  });

  it('a library made for TLS from the first byte: 465', () => {
    const made = LIBRARIES.filter(({ implicitFirst }) => implicitFirst !== undefined);
    assert.ok(made.length > 0);
    for (const library of made) assert.equal(short(ask({ library })), '465 implicit-tls', library.id);
  });

  it('every other library: 587', () => {
    for (const library of LIBRARIES.filter(({ implicitFirst }) => implicitFirst === undefined)) assert.equal(short(ask({ library })), '587 starttls-required', library.id);
  });

  it('a mail service: its host and what its documentation begins with, never 25', () => {
    for (const provider of PROVIDERS) {
      const advice = ask({ scenario: 'esp', provider, ...(provider.host.includes('{') ? { host: 'smtp.region.example' } : {}) });
      assert.equal(advice.host, provider.host.includes('{') ? 'smtp.region.example' : provider.host);
      const kind = provider.ports[0]?.tls === 'implicit' ? '465 implicit-tls' : '587 starttls-required';
      assert.equal(short(advice), kind, provider.id);
      assert.ok([advice, ...advice.alternatives].every(({ port }) => port !== 25));
      assert.ok(advice.alternatives.some(({ encryption }) => encryption === 'https'));
    }
  });

  it('an own server: 25 in and out, 587 with STARTTLS enforced, 465 besides; and a configuration of it', () => {
    const advice = ask({ scenario: 'own-server', host: 'mail.example.org' });
    assert.equal(short(advice), '587 starttls-required');
    assert.deepEqual(
      advice.listeners.map(({ port, direction }) => `${port} ${direction}`),
      ['25 in', '25 out', '587 in', '465 in'],
    );
    assert.equal(advice.alternatives[0]?.port, 465);
    assert.match(advice.snippet ?? '', /hostname = "mail\.example\.org"/);
    assert.match(advice.snippet ?? '', /domains = \["example\.org"\]/);
  });

  it('a locked-down cloud: 2525, else the HTTP API', () => {
    const advice = ask({ scenario: 'locked-cloud' });
    assert.equal(short(advice), '2525 starttls-required');
    assert.equal(short(advice.alternatives.at(-1) as Advice), '443 https');
    const closed = ask({ scenario: 'locked-cloud', blocked: [465, 587, 2525] });
    assert.equal(short(closed), '443 https');
    assert.equal(closed.usable, false);
    assert.match(closed.snippet ?? '', /--proto '=https' 'https:\/\/smtp\.example\.com\/v1\/messages'/);
    assert.equal(closed.library?.id, 'postern-http');
    // A service has a format of its own.
    const service = ask({ scenario: 'locked-cloud', provider: findProvider('mailgun'), blocked: [465, 587, 2525] });
    assert.equal(service.snippet, null);
    assert.match(service.alternatives.map(({ why }) => why).join(' ') + service.why, /HTTP API/);
  });

  it('what whoever asks knows besides stands among the notes', () => {
    assert.equal(ask({ remarks: ['It is so.'] }).notes[0], 'It is so.');
  });

  it('587 blocked: 2525', () => {
    assert.equal(short(ask({ blocked: [587] })), '2525 starttls-required');
    assert.equal(short(ask({ blocked: [587, 2525] })), '465 implicit-tls');
  });
});

describe('what was seen decides', () => {
  it('the usual one where it works', () => {
    const advice = ask(session(works(465), works(587), works(2525)));
    assert.equal(short(advice), '587 starttls-required');
    assert.match(advice.why, /Probed: relay\.example\.net serves it, with a certificate that verifies/);
    assert.deepEqual(
      advice.evidence.map(({ port, standing }) => `${port} ${standing}`),
      ['465 works', '587 works', '2525 works'],
    );
  });

  it('587 swallowed: 2525, and why', () => {
    const advice = ask(session(silent(587), works(465), works(2525)));
    assert.equal(short(advice), '2525 starttls-required');
    assert.match(advice.why, /587 is blocked: no answer/);
  });

  it('only 465 there: 465', () => {
    assert.equal(short(ask(session(refused(587), works(465), refused(2525)))), '465 implicit-tls');
  });

  it('STARTTLS taken out: never that port', () => {
    const stripped: PortLook = { ...works(587), tls: 'none', auth: null, text: 'STARTTLS is not offered' };
    const advice = ask(session(stripped, works(465), { ...stripped, port: 2525 }));
    assert.equal(short(advice), '465 implicit-tls');
    assert.match(advice.why, /never say a password there/);
    const nowhere = ask(session(stripped, refused(465), refused(2525)));
    assert.equal(nowhere.usable, false);
    assert.match(nowhere.why, /mend the server first/);
  });

  it('a certificate that does not verify: another port, else this one with what to do', () => {
    const bad: PortLook = { ...works(587), certificate: 'DEPTH_ZERO_SELF_SIGNED_CERT' };
    assert.equal(short(ask(session(bad, works(465), refused(2525)))), '465 implicit-tls');
    const advice = ask(session(bad, refused(465), refused(2525)));
    assert.equal(short(advice), '587 starttls-required');
    assert.match(advice.why, /DEPTH_ZERO_SELF_SIGNED_CERT.*an authority that the client trusts/);
  });

  it('no login offered: another port', () => {
    assert.equal(short(ask(session({ ...works(587), auth: [] }, works(465), works(2525)))), '2525 starttls-required');
  });

  it('nothing answers: the host is wrong or down, not the network', () => {
    const advice = ask(session(refused(25), refused(465), refused(587), refused(2525)));
    assert.equal(advice.usable, false);
    assert.match(advice.why, /the server is down/);
    assert.equal(short(advice), '587 starttls-required');
  });

  it('everything swallowed: the HTTP API', () => {
    assert.equal(short(ask(session(silent(25), silent(465), silent(587), silent(2525)))), '443 https');
  });

  it('the network alone: what gets out', () => {
    const open = (port: number): PortLook => ({ ...silent(port), connection: 'open', text: 'a takes connections' });
    assert.equal(short(ask(network(silent(25), open(465), open(587), open(2525)))), '587 starttls-required');
    assert.equal(short(ask(network(silent(25), open(465), silent(587), open(2525)))), '2525 starttls-required');
    const own = ask({ scenario: 'own-server', ...network(silent(25), open(465), open(587), open(2525)) });
    assert.match(own.why, /Outbound port 25 is blocked here/);
  });

  it('an own server: whether others reach its 25', () => {
    const mx: PortLook = { ...works(25), auth: [], text: 'STARTTLS, verified' };
    const open = ask({ scenario: 'own-server', ...session(mx, works(465), works(587)) });
    assert.match(open.why, /answers on 25, where other servers hand over mail/);
    assert.equal(open.evidence[0]?.standing, 'server-only');
    assert.match(ask({ scenario: 'own-server', ...session(silent(25), works(465), works(587)) }).why, /does not answer on 25 from here/);
  });

  it('a locked-down cloud that is none: 587', () => {
    const advice = ask({ scenario: 'locked-cloud', ...session(works(465), works(587), works(2525)) });
    assert.equal(short(advice), '587 starttls-required');
    assert.match(advice.why, /not locked after all/);
  });

  it('nothing could be looked at: said, and the usual answer', () => {
    const survey: Survey = { host: 'a', depth: 'network', problem: 'the DNS does not answer', looks: [] };
    const advice = ask({ survey });
    assert.equal(short(advice), '587 starttls-required');
    assert.match(advice.why, /the DNS does not answer/);
  });
});

describe('every library on every port', () => {
  const values = { host: 'smtp.example.com', username: 'app', from: 'you@example.com', to: 'friend@example.net' };
  for (const library of LIBRARIES) {
    for (const port of [587, 2525, 465]) {
      it(`${library.id} on ${port}: its own configuration, or another library that can`, () => {
        const blocked = [587, 2525, 465].filter((one) => one !== port);
        const advice = ask({ library, blocked, username: 'app' });
        const tls = port === 465 ? 'implicit' : 'starttls';
        assert.equal(short(advice), tls === 'implicit' ? '465 implicit-tls' : `${port} starttls-required`);
        const shown = LIBRARIES.find(({ id }) => id === advice.library?.id);
        assert.ok(shown !== undefined);
        assert.equal(advice.snippet, fillSnippet(shown, tls, { ...values, port }));
        assert.ok(advice.snippet?.includes(String(port)) === true && advice.snippet.includes('smtp.example.com'));
        if (library.snippets[tls] === null) assert.match(advice.why, new RegExp(`cannot do TLS from the first byte.*${shown.name.replaceAll('.', '\\.')} can`));
        else assert.equal(shown.id, library.id);
      });
    }
  }
});

describe('names', () => {
  it('libraries and services are found by what people call them', () => {
    for (const [text, id] of [
      ['Nodemailer', 'nodemailer'],
      ['node.js', 'nodemailer'],
      ['python', 'smtplib'],
      ['net/smtp', 'go-net-smtp'],
      ['Net::SMTP', 'net-smtp'],
      ['C#', 'mailkit'],
      ['Spring Boot', 'spring-boot'],
      ['Go Mail', 'go-mail'],
    ] as const)
      assert.equal(findLibrary(text).id, id, text);
    for (const [text, id] of [
      ['SES', 'amazon-ses'],
      ['office365', 'microsoft-365'],
      ['Sendinblue', 'brevo'],
      ['web.de', 'web-de'],
    ] as const)
      assert.equal(findProvider(text).id, id, text);
  });

  it('no name means two', () => {
    for (const rows of [LIBRARIES, PROVIDERS]) {
      const all = rows.flatMap(({ id, aliases = [] }) => [id, ...aliases]);
      assert.deepEqual(
        all.filter((one, i) => all.indexOf(one) !== i),
        [],
      );
    }
  });

  it('what is not known is told with what is near', () => {
    assert.throws(() => findLibrary('mailer'), /knows no library "mailer"/);
    assert.throws(() => findProvider('nobody'), /knows no provider/);
  });

  it('the login that is the same for everybody stands in the snippet; a host with a region says what to put there', () => {
    assert.match(ask({ scenario: 'esp', provider: findProvider('sendgrid'), library: findLibrary('django') }).snippet ?? '', /EMAIL_HOST_USER = "apikey"/);
    const ses = ask({ scenario: 'esp', provider: findProvider('ses') });
    assert.equal(ses.host, 'email-smtp.REGION.amazonaws.com');
    assert.ok(ses.notes.some((note) => note.includes('is a placeholder')));
  });
});
