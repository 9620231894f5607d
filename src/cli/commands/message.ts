// `postern message`: every message's fate. Reads the history and, while it is kept, the content.

import { once } from 'node:events';
import type { Command } from 'commander';
import { PosternError } from '#base/failure.ts';
import { openApi } from '#cli/api.ts';
import type { MessageQuery } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText, replyText, sizeText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { cut } from '#cli/width.ts';
import type { MessageRowView, MessageView } from '#http/routes/messages.ts';
import type { Security } from '#queue/records.ts';
import { STATUSES } from '#http/views/message.ts';
import { withoutUndefined } from '#http/wire.ts';

type Listed = { text?: string; to?: string; from?: string; status?: string; since?: string; credential?: string; limit: string };
type EventView = MessageView['events'][number];

const JSON_BYTES = 64 * 1024 * 1024;

/** Of one value in a list; on a terminal the columns share what there is. */
const MAX_COLUMNS = 60;

const EXAMPLES = `
Examples:
  postern message list --to example.net --since 24h
  postern message list --status bounced --json
  postern message show 0123456789abcdef
  postern message transcript 0123456789abcdef
  postern message body 0123456789abcdef > message.eml`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('message').description('what became of every message').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('list')
    .description('list messages, newest first')
    .option('--text <words>', 'words of subject and addresses, beginnings of words too; or a Message-ID')
    .option('--to <address>', 'a recipient, or a domain')
    .option('--from <address>', 'the sender, or a domain')
    .option('--status <status>', STATUSES.join(', '))
    .option('--since <time>', 'changed since: 2026-11-24, 2026-11-24T08:00:00Z, or a span like 30m, 24h, 7d')
    .option('--credential <name>', 'submitted by this credential')
    .option('--limit <n>', 'at most so many', '100')
    .action((options: Listed) => list(cli, options));
  command
    .command('show <id>')
    .description('show a message: envelope, recipients, every attempt with its reply, cause and fix')
    .action((id: string) => show(cli, id));
  command
    .command('transcript <id>')
    .description('show what was said at each attempt to deliver it')
    .action((id: string) => transcript(cli, id));
  command
    .command('body <id>')
    .description('write the content, byte for byte, to standard output (with --json in base64)')
    .action((id: string) => body(cli, id));
}

/** Page by page: one may be short and not the last. */
async function search(cli: Cli, { limit, ...filter }: Listed): Promise<{ messages: MessageRowView[]; next: string | null }> {
  const api = openApi({ dataDir: cli.dataDir() });
  const messages: MessageRowView[] = [];
  let next: string | null = null;
  do {
    const left = messages.length === 0 ? limit : String(Number(limit) - messages.length);
    const page = await api.messages(withoutUndefined({ ...filter, limit: left, before: next ?? undefined }) as MessageQuery);
    messages.push(...page.messages);
    next = page.next;
  } while (next !== null && messages.length < Number(limit));
  return { messages, next };
}

async function list(cli: Cli, options: Listed): Promise<void> {
  const { messages, next } = await search(cli, options);
  const filtered = Object.keys(withoutUndefined(options)).length > 1;
  // A search that finds nothing is bad news; an empty server is not.
  if (messages.length === 0 && filtered) process.exitCode = 1;
  if (cli.json) return cli.out.json(messages);
  if (messages.length === 0) return cli.out.text(filtered ? 'No message matches.' : 'There are no messages yet.');
  cli.out.table(
    ['ID', 'ACCEPTED', 'STATUS', 'FROM', 'TO', 'SUBJECT'],
    messages.map((row) => [
      row.id,
      dateText(row.acceptedAt),
      row.status,
      cut(row.from || '<>', MAX_COLUMNS),
      cut(recipientsText(row.to), MAX_COLUMNS),
      cut(row.subject, MAX_COLUMNS),
    ]),
  );
  if (next !== null) cli.out.note('There are more; narrow the search, or raise --limit (at most 1000).');
}

function recipientsText(to: readonly string[]): string {
  return to.length > 1 ? `${to[0]} +${to.length - 1}` : (to[0] ?? '');
}

async function show(cli: Cli, id: string): Promise<void> {
  const message = await openApi({ dataDir: cli.dataDir() }).message(id);
  if (cli.json) return cli.out.json(message);
  cli.out.text(
    [...headLines(message), '', 'Recipients', ...message.recipients.map(recipientLine), '', 'What happened', ...message.events.flatMap((event) => eventLines(message, event))].join(
      '\n',
    ),
  );
}

async function transcript(cli: Cli, id: string): Promise<void> {
  const { transcripts } = await openApi({ dataDir: cli.dataDir() }).transcripts(id);
  if (transcripts.length === 0) process.exitCode = 1;
  if (cli.json) return cli.out.json(transcripts);
  if (transcripts.length === 0)
    return cli.out.text('No conversation of this message is kept: it was not tried yet, or the ones of newer attempts have taken its place ([queue] transcripts).');
  cli.out.text(
    transcripts
      .map(({ startedAt, remoteHost, remoteAddress, remotePort, entries }) =>
        [
          `${dateText(startedAt)}  ${remoteHost} [${remoteAddress ?? '?'}]:${remotePort ?? '?'}`,
          ...entries.map(({ atMs, direction, text }) => `  ${String(atMs).padStart(7)} ms  ${direction} ${text}`),
        ].join('\n'),
      )
      .join('\n\n'),
  );
}

async function body(cli: Cli, id: string): Promise<void> {
  const content = await openApi({ dataDir: cli.dataDir() }).body(id);
  if (cli.json) return cli.out.json({ id, encoding: 'base64', content: (await bounded(content)).toString('base64') });
  for await (const chunk of content) if (!process.stdout.write(chunk)) await once(process.stdout, 'drain');
}

/** In one document it must be in memory at once. */
async function bounded(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of content) {
    bytes += chunk.length;
    if (bytes > JSON_BYTES)
      throw new PosternError(
        {
          code: 'content-too-large',
          cause: `The content has more than ${sizeText(JSON_BYTES)}, which is too much for one JSON document.`,
          fix: 'Ask without --json: the content is written as it comes.',
        },
        { exitCode: 1 },
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function headLines(message: MessageView): string[] {
  const { envelope } = message;
  const { origin } = envelope;
  const by = origin.credential === null ? '' : `, credential ${origin.credential}`;
  return [
    `message     ${message.id}  (${message.status})`,
    `subject     ${message.subject || '(none)'}`,
    `message-id  ${message.messageIdHeader || '(none)'}`,
    `from        ${message.from || '<> (automatic)'}`,
    `accepted    ${dateText(message.acceptedAt)} on ${origin.profile} from ${origin.clientAddress}${by}, ${origin.tls ?? 'no TLS'}`,
    `size        ${sizeText(message.sizeBytes)}`,
    ...authenticationLines(envelope.authentication),
    `kind        ${message.mode === 'sandbox' ? 'sandbox: captured, never sent' : message.kind === 'dsn' ? 'delivery report' : 'mail'}`,
  ];
}

/** What was found of where it came from, each with its reason. */
function authenticationLines(found: MessageView['envelope']['authentication']): string[] {
  if (found === undefined) return [];
  const { spf, dkim, dmarc, arc, disposition, why } = found;
  const because = (reason: string): string => (reason === '' ? '' : `: ${reason}`);
  const lines = [`spf         ${spf.result} for ${spf.domain} (${spf.identity === 'helo' ? 'HELO' : 'MAIL FROM'})${because(spf.reason)}`];
  if (dkim.length === 0) lines.push('dkim        none: the message has no signature');
  for (const one of dkim) lines.push(`dkim        ${one.result} for ${one.domain ?? '?'}, selector ${one.selector ?? '?'}${because(one.reason)}`);
  const policy = dmarc.policy === null ? '' : ` (policy ${dmarc.policy} at ${dmarc.policyDomain ?? '?'}${dmarc.testing ? ', in test mode' : ''})`;
  const by = dmarc.by === null ? '' : ` by ${dmarc.by.toUpperCase()}`;
  lines.push(`dmarc       ${dmarc.result}${by} for ${dmarc.domain ?? '(no author)'}${policy}${because(dmarc.reason)}`);
  if (arc.result !== 'none')
    lines.push(
      `arc         ${arc.result}, ${arc.instance} ${arc.instance === 1 ? 'set' : 'sets'}${arc.sealer === null ? '' : `, last sealed by ${arc.sealer}`}${because(arc.reason)}`,
    );
  if (disposition !== 'accepted' || why !== '') lines.push(`judged      ${disposition}${because(why)}`);
  return lines;
}

function recipientLine(recipient: MessageView['recipients'][number]): string {
  const next = recipient.nextAt === null ? '' : `, next ${dateText(recipient.nextAt)}`;
  const via = recipient.via === undefined ? '' : ` (for ${recipient.via})`;
  return `  ${recipient.to}${via}  ${recipient.status}, ${recipient.attempts} ${recipient.attempts === 1 ? 'attempt' : 'attempts'}${next}`;
}

/** What was required of the connection, by whom, and what there was. */
function securityLines({ policy, required, why, protocol, cipher, certificate, verdict }: Security, indent: string): string[] {
  return [
    `${indent}policy ${policy}: ${why}; required: ${required}`,
    `${indent}TLS    ${protocol === null ? 'none' : `${protocol} ${cipher ?? ''}`}`,
    `${indent}cert   ${certificate}: ${verdict}`,
  ];
}

function eventLines(message: MessageView, event: EventView): string[] {
  const to = event.n === null ? '' : (message.recipients.find((recipient) => recipient.n === event.n)?.to ?? '');
  const head = `  ${dateText(event.at)}  ${event.type.padEnd(10)} ${to}`.trimEnd();
  const { outcome } = event;
  if (outcome === null) return [head];
  const indent = ' '.repeat(24);
  const lines = [head];
  if (outcome.remoteHost !== null)
    lines.push(`${indent}host   ${outcome.remoteHost} [${outcome.remoteAddress ?? '?'}]:${outcome.remotePort ?? '?'}, TLS ${outcome.tls ?? 'none'}, ${outcome.durationMs} ms`);
  if (outcome.security !== undefined) lines.push(...securityLines(outcome.security, indent));
  lines.push(`${indent}reply  ${replyText(outcome) || '(none)'}`);
  if (outcome.verdict !== 'delivered' && outcome.verdict !== 'captured') lines.push(`${indent}cause  ${outcome.cause}`, `${indent}fix    ${outcome.fix}`);
  if (outcome.possibleDuplicate) lines.push(`${indent}note   the content was sent and not answered: the receiver may have it already`);
  if (event.nextAt !== null) lines.push(`${indent}next   ${dateText(event.nextAt)}`);
  return lines;
}
