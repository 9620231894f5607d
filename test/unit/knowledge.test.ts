// The knowledge held against its schemas and against itself: every row is found for its own example, every class and provider it names is there,
// and the search takes a time that depends on the length of a text only.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { z } from 'zod';
import fc from 'fast-check';
import { CLASSES } from '#knowledge/classes.ts';
import { explainFailure, explainReply } from '#knowledge/explain.ts';
import { FAILURE_ROWS, findFailureText } from '#knowledge/failures.ts';
import { compilePhrases } from '#knowledge/phrases.ts';
import { BASELINES } from '#knowledge/baselines.ts';
import { RECEIVERS, receiverOf } from '#knowledge/receivers.ts';
import { REPLY_ROWS, findReply, retryHelps, whoActs } from '#knowledge/replies.ts';
import { PROVIDERS } from '#knowledge/providers.ts';
import { LIBRARIES, fillSnippet } from '#knowledge/libraries.ts';
import { PORTS, PORT_HISTORY } from '#knowledge/ports.ts';
import { baselineSchema, classSchema, failureSchema, historySchema, librarySchema, portSchema, providerSchema, receiverSchema, replySchema } from '#knowledge/schema.ts';
import { page } from '../support/markdown.ts';

const data = (name: string): unknown => JSON.parse(page(`src/knowledge/${name}.json`));

function said(text: string): { code: number; enhanced: string; lines: string[] } {
  const [, code = '', enhanced = '', rest = ''] = /^(\d{3})[ -](?:(\d\.\d{1,3}\.\d{1,3}) ?)?(.*)$/s.exec(text) ?? [];
  return { code: Number(code), enhanced, lines: rest.split('\n') };
}

function unique(values: readonly string[]): void {
  assert.deepEqual(
    values.filter((value, i) => values.indexOf(value) !== i),
    [],
  );
}

describe('the data files', () => {
  const files: readonly [string, z.ZodType, number][] = [
    ['classes', classSchema, 60],
    ['replies', replySchema, 150],
    ['failures', failureSchema, 20],
    ['receivers', receiverSchema, 25],
    ['providers', providerSchema, 25],
    ['libraries', librarySchema, 20],
  ];
  for (const [name, schema, least] of files) {
    it(`${name}: at least ${least} rows, each as its schema says`, () => {
      const rows = data(name);
      assert.ok(Array.isArray(rows) && rows.length >= least);
      for (const row of rows) {
        const result = schema.safeParse(row);
        assert.ok(result.success, `${JSON.stringify(row).slice(0, 120)}\n${result.success ? '' : z.prettifyError(result.error)}`);
      }
    });
  }

  it('baselines: the shares of a year are a whole, in order, and providers are receivers', () => {
    const { submissionByPort, encryptedInbound } = baselineSchema.parse(BASELINES);
    for (const { year, ...shares } of submissionByPort.years) assert.equal(shares[25] + shares[465] + shares[587] + shares[2525], 100, String(year));
    assert.deepEqual(
      submissionByPort.years.map(({ year }) => year),
      Array.from({ length: submissionByPort.years.length }, (_, i) => 2015 + i),
    );
    for (const { receiver } of encryptedInbound.providers) assert.ok(receiver === null || RECEIVERS.some(({ id }) => id === receiver), String(receiver));
  });

  it('ports: the four, and their history in order', () => {
    for (const port of PORTS) portSchema.parse(port);
    for (const event of PORT_HISTORY) historySchema.parse(event);
    assert.deepEqual(
      PORTS.map(({ port }) => port),
      [25, 465, 587, 2525],
    );
    assert.deepEqual(
      PORT_HISTORY.map(({ year }) => year),
      PORT_HISTORY.map(({ year }) => year).toSorted((a, b) => a - b),
    );
  });

  it('providers: TLS from the first byte only where ports are for it, 25 never first', () => {
    for (const { id, ports } of PROVIDERS) {
      unique(ports.map(({ port }) => String(port)));
      assert.notEqual(ports[0]?.port, 25, id);
      for (const { port, tls } of ports) if (port === 465 || port === 587 || port === 2525) assert.equal(tls, port === 465 ? 'implicit' : 'starttls', `${id} ${port}`);
    }
  });

  it('every name is there once, and every name that is used is there', () => {
    unique(PROVIDERS.map(({ id }) => id));
    unique(LIBRARIES.map(({ id }) => id));
    unique(REPLY_ROWS.map(({ id }) => id));
    unique(RECEIVERS.map(({ id }) => id));
    unique(RECEIVERS.flatMap(({ hosts }) => hosts));
    const receivers = new Set(RECEIVERS.map(({ id }) => id));
    for (const { id, provider, anywhere, text, class: named } of REPLY_ROWS) {
      assert.ok(provider === undefined || receivers.has(provider), `${id}: no receiver ${provider}`);
      assert.ok(anywhere === undefined || (provider !== undefined && text !== undefined), `${id}: what is known anywhere has a provider and its words`);
      assert.ok(CLASSES.has(named), `${id}: no class ${named}`);
    }
    for (const row of FAILURE_ROWS) {
      assert.ok(CLASSES.has(row.class), `no class ${row.class}`);
      assert.ok(row.when !== undefined || row.text !== undefined, `${row.class}: a row that is never found`);
      assert.equal(row.text === undefined, row.example === undefined, `${row.class}: words have an example`);
    }
  });

  it('every reply row is found for its own example, whoever the host is', () => {
    const wrong = REPLY_ROWS.flatMap(({ id, provider, example }) => {
      const host = RECEIVERS.find((receiver) => receiver.id === provider)?.hosts[0] ?? null;
      const found = findReply(said(example), host === null ? null : `mx1.${host}`)?.id;
      return found === id ? [] : [`${id}: ${found ?? 'nothing'} is found for ${example}`];
    });
    assert.deepEqual(wrong, []);
  });

  it('every failure row is found for its own example', () => {
    for (const row of FAILURE_ROWS) if (row.example !== undefined) assert.equal(findFailureText(row.example)?.cause, row.cause, row.example);
  });

  it('a refusal always has an explanation, and a class says who acts and whether to send again', () => {
    for (let code = 400; code < 600; code++) {
      const row = findReply({ code, enhanced: '', lines: [''] }, null);
      assert.ok(row !== null && row.provider === undefined, String(code));
      assert.ok(whoActs(row) !== undefined && retryHelps(row) !== undefined);
    }
    assert.equal(explainReply({ code: 250, enhanced: '', lines: ['ok'] }, null).class, 'protocol-error');
  });
});

describe('snippets', () => {
  const values = { host: 'smtp.example.com', port: 587, username: 'app', from: 'app@example.com', to: 'friend@example.net' };

  it('are filled wholly, know the server, the login and the sender, and hold no password', () => {
    for (const library of LIBRARIES) {
      for (const tls of ['starttls', 'implicit'] as const) {
        const text = fillSnippet(library, tls, values);
        if (text === null) continue;
        assert.doesNotMatch(text, /\{\{(host|port|username|from|to)/, library.id);
        for (const part of ['smtp.example.com', '587', 'app']) assert.ok(text.includes(part), `${library.id} ${tls}: ${part}`);
        assert.match(text, /SMTP_PASSWORD|sasl_passwd|relay-password|secrets/, library.id);
        // What turns the check off, in any of the languages.
        assert.doesNotMatch(
          text,
          /VERIFY_NONE|rejectUnauthorized|InsecureSkipVerify|verify_peer\W+false|CERT_NONE|tls_certcheck off|no-verify|opportunistic|if_available|WhenAvailable/i,
          library.id,
        );
      }
    }
  });

  it('a value that is code in some language is refused', () => {
    const [library] = LIBRARIES;
    assert.ok(library !== undefined);
    for (const host of ["a'b", 'a"b', 'a b', '$(id)', '`id`', 'a\nb', '{{port}}', '-x', 'a;b', '%env%', ''])
      assert.throws(() => fillSnippet(library, 'starttls', { ...values, host }), /cannot stand in a configuration/, host);
  });
});

describe('replies as servers give them', () => {
  const cases = JSON.parse(readFileSync(new URL('../vectors/knowledge/replies.json', import.meta.url), 'utf8')) as readonly {
    readonly reply: string;
    readonly host?: string;
    readonly class: string;
    readonly id?: string;
  }[];
  for (const { reply, host, class: expected, id } of cases) {
    it(reply.slice(0, 100).replaceAll('\n', ' '), () => {
      const row = findReply(said(reply), host ?? null);
      assert.ok(row !== null);
      assert.equal(row.class, expected, row.id);
      if (id !== undefined) assert.equal(row.id, id);
    });
  }
});

describe('failures of the own client', () => {
  const place = { host: 'mx.example.net', port: 25 };
  const cases: readonly [{ phase: string; kind: string; code: string | null }, string][] = [
    [{ phase: 'connect', kind: 'socket', code: 'ECONNREFUSED' }, 'connection-refused'],
    [{ phase: 'connect', kind: 'timeout', code: null }, 'connection-timeout'],
    [{ phase: 'data', kind: 'timeout', code: null }, 'timeout'],
    [{ phase: 'connect', kind: 'socket', code: 'ENETUNREACH' }, 'unreachable'],
    [{ phase: 'tls', kind: 'tls', code: 'CERT_HAS_EXPIRED' }, 'certificate-expired'],
    [{ phase: 'tls', kind: 'tls', code: 'ERR_TLS_CERT_ALTNAME_INVALID' }, 'certificate-name'],
    [{ phase: 'tls', kind: 'tls', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, 'certificate-untrusted'],
    [{ phase: 'tls', kind: 'tls', code: 'ERR_SSL_NO_SHARED_CIPHER' }, 'tls-failed'],
    [{ phase: 'tls', kind: 'socket', code: 'ECONNRESET' }, 'tls-failed'],
    [{ phase: 'tls', kind: 'tls', code: 'ERR_SSL_WRONG_VERSION_NUMBER' }, 'tls-wrong-port'],
    [{ phase: 'tls', kind: 'tls', code: 'ERR_STARTTLS_NO_TLS' }, 'tls-failed'],
    [{ phase: 'auth', kind: 'policy', code: null }, 'auth-mechanism'],
    [{ phase: 'mail', kind: 'policy', code: 'ERR_SIZE' }, 'message-too-big'],
    [{ phase: 'greeting', kind: 'protocol', code: null }, 'protocol-error'],
    [{ phase: 'rcpt', kind: 'socket', code: 'ECONNRESET' }, 'connection-lost'],
    [{ phase: 'rcpt', kind: 'aborted', code: null }, 'aborted'],
    [{ phase: 'mail', kind: 'policy', code: 'ERR_ELSE' }, 'failed'],
  ];
  for (const [facts, expected] of cases) {
    it(`${facts.phase} ${facts.kind} ${facts.code ?? ''}`, () => {
      const explained = explainFailure({ ...facts, reply: null, text: 'text' }, place);
      assert.equal(explained.class, expected);
      assert.doesNotMatch(explained.cause + explained.fix, /[{}]/);
    });
  }

  it('a refused login is one, whatever it says; what it is about the login is told', () => {
    const refused = (text: string, host: string): string => explainFailure({ phase: 'auth', kind: 'reply', code: null, reply: said(text), text }, { host, port: 587 }).class;
    assert.equal(refused('550 5.7.1 go away', 'relay.example.net'), 'auth-failed');
    assert.equal(refused('454 4.7.0 Temporary authentication failure', 'relay.example.net'), 'auth-limited');
    assert.equal(refused('535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant', 'smtp.office365.com'), 'auth-disabled');
  });
});

describe('who says it', () => {
  it('is known by the domain of the host, else by the words', () => {
    assert.equal(receiverOf('gmail-smtp-in.l.google.com', '')?.id, 'google');
    assert.equal(receiverOf('GMAIL-SMTP-IN.L.GOOGLE.COM.', '')?.id, 'google');
    assert.equal(receiverOf('notgoogle.com', ''), null);
    assert.equal(receiverOf(null, 'nothing here - gsmtp')?.id, 'google');
    assert.equal(receiverOf('mx00.kundenserver.de', 'see https://support.google.com/')?.id, 'gmx');
  });
});

describe('phrases', () => {
  const one = (phrase: string, text: string): boolean =>
    compilePhrases([[phrase]])
      .find(text)
      .has(0);

  it('begin at the beginning of a word, hold in order, end where they say', () => {
    assert.ok(one('rbl', 'Listed by RBL'));
    assert.ok(!one('rbl', 'marbles'));
    assert.ok(one('mailbox * full', 'the Mailbox of <a@b> is\r\nFULL'));
    assert.ok(!one('mailbox * full', 'full is the mailbox'));
    assert.ok(!one('mailbox * full', 'mailbox unhelpfull'));
    assert.ok(one('mailbox * full', 'mailbox mailbox unfull full'));
    assert.ok(one('spf$', 'no SPF, no mail') && !one('spf$', 'spfx'));
    assert.ok(one('_104', 'OFR_104') && one('4$', '44 4'));
  });

  it('what is found is what a slow search finds', () => {
    const word = fc.constantFrom('ab', 'abc', 'bca', 'c', 'aab', '_1', 'b$');
    const text = fc.array(fc.constantFrom('ab', 'abc', 'bca', 'c', 'aab', ' ', ' ', '_1', '-'), { maxLength: 30 }).map((parts) => parts.join(''));
    const pattern = fc.array(word, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(pattern, text, (words, given) => {
        const escape = (part: string): string => {
          const plain = part.replace(/\$$/, '');
          return `${/^[a-z0-9]/.test(plain) ? '(?<![a-z0-9])' : ''}${plain}${part.endsWith('$') ? '(?![a-z0-9])' : ''}`;
        };
        const slow = new RegExp(words.map(escape).join('[^]*'));
        assert.equal(one(words.join(' * '), given), slow.test(given.replace(/\s+/g, ' ')));
      }),
      { numRuns: 5000 },
    );
  });

  it('a text made to be slow is as quick as any: nothing is ever looked at twice for the same phrase', () => {
    // What would send a backtracking search round for ever; here it is done before the test is noticed.
    for (const text of ['mailbox '.repeat(200_000), 'too many '.repeat(200_000), 'a'.repeat(2_000_000), `${'try again in '.repeat(100_000)}!`]) {
      findReply({ code: 550, enhanced: '', lines: [text] }, null);
      findFailureText(text);
    }
  });
});
