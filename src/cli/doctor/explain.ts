// `postern doctor explain`: what a reply, a log line or a bounce means, and what to do.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { PosternError, errorText } from '#base/failure.ts';
import type { Cli } from '#cli/main.ts';
import type { Retry, Who } from '#knowledge/classes.ts';
import { explainText } from '#doctor/explain/explain.ts';
import type { Explained } from '#doctor/explain/explain.ts';

const EXAMPLES = `
Examples:
  postern doctor explain "550 5.7.26 This mail is unauthenticated ... gsmtp"
  postern doctor explain "status=deferred (connect to mx.example.net[192.0.2.1]:25: Connection timed out)"
  postern doctor explain "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant"
  postern doctor explain --file bounce.eml
  tail -100 /var/log/mail.log | postern doctor explain --file -

Reads replies, lines of Postfix, Exim, sendmail, OpenSMTPD and Postern, errors of client libraries, and delivery reports. Nothing is sent anywhere.
Exit codes: 0 explained; 1 nothing in it is known; 2 usage.`;

const ACTS: Readonly<Record<Who, string>> = {
  nobody: 'nobody',
  sender: 'whoever sends: the application, its settings, or the list of addresses',
  operator: 'whoever runs the sending server and its domain',
  provider: 'whoever owns the account at the sending service, with its support',
  recipient: 'the recipient',
  receiver: 'whoever runs the receiving server',
  network: 'whoever runs the network in between',
};

const AGAIN: Readonly<Record<Retry, string>> = {
  helps: 'helps: mostly the next attempt gets through',
  later: 'helps later, and more slowly',
  'after-fix': 'helps after somebody has acted',
  never: 'does not help',
};

export function register(doctor: Command, cli: Cli): void {
  doctor
    .command('explain')
    .description('say what a reply, a log line or a bounce means, and what to do')
    .argument('[text]', 'the reply, line or error, in quotes')
    .option('--file <file>', 'a bounce (.eml) or a log; - reads standard input')
    .addHelpText('after', EXAMPLES)
    .action((text: string | undefined, options: { file?: string }) => explain(cli, text ?? '', options.file ?? null));
}

function explain(cli: Cli, text: string, file: string | null): void {
  if ((text === '') === (file === null))
    throw new PosternError({ code: 'usage', cause: 'Say either what is to be explained, or the file that it is in.', fix: 'See: postern doctor explain --help' }, { exitCode: 2 });
  const explained = explainText(file === null ? text : read(file));
  if (explained.length === 0) process.exitCode = 1;
  if (cli.json) return cli.out.json({ explained });
  if (explained.length > 0) return cli.out.text(explained.map(told).join('\n\n'));
  cli.out.text('Nothing in it is known: there is no reply code, and no words that mail programs use for a failure.');
}

function read(file: string): Buffer {
  try {
    return readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw new PosternError(
      { code: 'file-not-read', cause: `${file} cannot be read: ${errorText(error)}.`, fix: 'Name a file that you may read, or - for standard input.' },
      { exitCode: 2, cause: error },
    );
  }
}

function told(one: Explained): string {
  const { code, enhanced, text, host, recipient, provider } = one;
  const said = [code === null ? '' : String(code), enhanced, text].filter((part) => part !== '').join(' ');
  const rows: readonly (readonly [string, string | null])[] = [
    ['said', said.length <= 300 ? said : `${said.slice(0, 299)}…`],
    ['by', host === null && provider === null ? null : [host, provider === null ? null : `(${provider.name}; ${provider.help})`].filter((part) => part !== null).join(' ')],
    ['recipient', recipient],
    ['class', `${one.class}: ${one.meaning}`],
    ['cause', one.cause],
    ['fix', one.fix],
    ['who acts', ACTS[one.who]],
    ['retrying', AGAIN[one.retry]],
    ['source', one.source],
  ];
  return rows.flatMap(([name, value]) => (value === null ? [] : [`${name.padEnd(9)}  ${value}`])).join('\n');
}
