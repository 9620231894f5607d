// `postern queue`: what waits, why, and the operator's verbs.

import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import { PosternError } from '#base/failure.ts';
import { openApi } from '#cli/api.ts';
import type { QueueQuery } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText, replyText, sizeText, spanText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import { cut } from '#cli/width.ts';
import type { QueueRowView, QueuedMessageView, Verb } from '#http/routes/queue.ts';
import { withoutUndefined } from '#http/wire.ts';
import type { Changed, Selection } from '#queue/queue.ts';

type Chosen = { lane?: string; domain?: string; credential?: string; all?: boolean; yes?: boolean };
type Listed = { lane?: string; domain?: string; credential?: string; state?: string; limit: string };

/** Of what was said, in a list. */
const MAX_COLUMNS = 100;

const EXAMPLES = `
Examples:
  postern queue list --domain example.net
  postern queue show 0123456789abcdef
  postern queue lanes
  postern queue retry --lane mx:mx.example.net
  postern queue hold --credential app       (what comes later is held too)
  postern queue release --credential app
  postern queue cancel 0123456789abcdef
  postern queue cancel --domain example.net --yes`;

const DESCRIPTIONS: Readonly<Record<Verb, string>> = {
  retry: 'try now, whatever the back-off',
  hold: 'keep until released; a held lane, domain or credential (or --all) also holds what comes later',
  release: 'let what was held go on; what another hold covers stays held, and --all ends every hold',
  cancel: 'remove without a bounce; also removes captured messages',
};

const DONE: Readonly<Record<Verb, string>> = { retry: 'will be tried now', hold: 'held', release: 'released', cancel: 'cancelled' };

export function register(program: Command, cli: Cli): void {
  const command = program.command('queue').description('see the queue and change it').addHelpText('afterAll', examplesFor(EXAMPLES));
  command
    .command('list')
    .description('list the recipients that wait')
    .option('--lane <lane>', 'of this lane')
    .option('--domain <domain>', 'of this recipient domain')
    .option('--credential <name>', 'submitted by this credential')
    .option('--state <state>', 'ready, leased, deferred, held, captured, or waiting: all but captured')
    .option('--limit <n>', 'at most so many', '100')
    .action((options: Listed) => list(cli, options));
  command
    .command('show <id>')
    .description('show one message of the queue')
    .action((id: string) => show(cli, id));
  command
    .command('lanes')
    .description('list the lanes (deliveries that share a destination) with what waits in them')
    .action(() => lanes(cli));
  for (const verb of Object.keys(DESCRIPTIONS) as Verb[]) registerVerb(command, cli, verb);
}

function registerVerb(command: Command, cli: Cli, verb: Verb): void {
  const made = command
    .command(`${verb} [id]`)
    .description(DESCRIPTIONS[verb])
    .option('--lane <lane>', 'all of this lane')
    .option('--domain <domain>', 'all of this recipient domain')
    .option('--credential <name>', 'all that this credential submitted')
    .option('--all', 'everything');
  if (verb === 'cancel') made.option('--yes', 'do not ask');
  made.action((id: string | undefined, options: Chosen) => change(cli, verb, selectionOf(id, options), options.yes === true));
}

/** Exactly one of ID, --lane, --domain, --credential, --all. */
function selectionOf(id: string | undefined, options: Chosen): Selection {
  const chosen: Selection[] = [];
  if (id !== undefined) chosen.push({ by: 'message', id });
  if (options.lane !== undefined) chosen.push({ by: 'lane', lane: options.lane });
  if (options.domain !== undefined) chosen.push({ by: 'domain', domain: options.domain });
  if (options.credential !== undefined) chosen.push({ by: 'credential', credential: options.credential });
  if (options.all === true) chosen.push({ by: 'all' });
  const [selection] = chosen;
  if (selection === undefined || chosen.length > 1) {
    throw new PosternError({ code: 'usage', cause: 'Say exactly one of: a message ID, --lane, --domain, --credential, --all.', fix: 'See postern queue --help.' }, { exitCode: 2 });
  }
  return selection;
}

async function change(cli: Cli, verb: Verb, selection: Selection, yes: boolean): Promise<void> {
  if (verb === 'cancel' && selection.by !== 'message' && !yes) await confirm();
  const answer = await openApi({ dataDir: cli.dataDir() }).change(verb, selection);
  const { recipients, underWay } = answer;
  if (recipients + underWay === 0 && selection.by === 'message') {
    throw new PosternError(
      {
        code: 'not-found',
        cause: `No recipient of message ${selection.id} could be changed: it is not in the queue${verb === 'retry' ? ', or is being delivered right now' : ''}.`,
        fix: `See its fate with: postern message show ${selection.id}`,
      },
      { exitCode: 1 },
    );
  }
  // A hold is kept for what comes later, a release ends it: both are done without any recipient. What --all finds empty was to be empty.
  if (recipients + underWay === 0 && (verb === 'retry' || verb === 'cancel') && selection.by !== 'all') process.exitCode = 1;
  if (cli.json) cli.out.json(answer);
  else cli.out.text(told(verb, answer));
}

function told(verb: Verb, { recipients, underWay }: Changed): string {
  const text = `${recipients} ${recipients === 1 ? 'recipient' : 'recipients'} ${DONE[verb]}.`;
  return underWay === 0 ? text : `${text} ${underWay} more on the way: ${DONE[verb]} too, unless delivered or bounced first.`;
}

async function confirm(): Promise<void> {
  const refusal = new PosternError({ code: 'not-confirmed', cause: 'This removes mail for good, and nobody is told.', fix: 'Add --yes if that is meant.' }, { exitCode: 2 });
  if (!process.stdin.isTTY) throw refusal;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    if ((await lines.question('Remove all of these without a bounce? Type yes: ')).trim() !== 'yes') throw refusal;
  } finally {
    lines.close();
  }
}

async function list(cli: Cli, options: Listed): Promise<void> {
  const { recipients, next } = await openApi({ dataDir: cli.dataDir() }).queue(withoutUndefined(options) as QueueQuery);
  const filtered = Object.keys(withoutUndefined(options)).length > 1;
  // A search that finds nothing is bad news; an empty queue is not.
  if (recipients.length === 0 && filtered) process.exitCode = 1;
  if (cli.json) return cli.out.json(recipients);
  if (recipients.length === 0) return cli.out.text(filtered ? 'Nothing that waits matches.' : 'Nothing waits.');
  cli.out.table(
    ['ID', 'STATE', 'TO', 'TRIES', 'NEXT', 'LANE', 'LAST ANSWER'],
    recipients.map((row) => [
      row.id,
      row.state,
      row.to,
      String(row.attempts),
      nextText(row),
      row.lane,
      row.lastOutcome === null ? cut(row.backOffCause ?? '-', MAX_COLUMNS) : cut(replyText(row.lastOutcome), MAX_COLUMNS),
    ]),
  );
  if (next !== null) cli.out.note(`There are more; show them with --limit (at most 1000), or ask for one --lane or --domain.`);
}

function nextText(row: QueueRowView): string {
  return row.nextAt === null || (row.state !== 'deferred' && row.backOffCause === null && Date.parse(row.nextAt) <= Date.now())
    ? '-'
    : spanText(Date.parse(row.nextAt) - Date.now());
}

async function lanes(cli: Cli): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).lanes();
  if (cli.json) return cli.out.json(answer.lanes);
  if (answer.lanes.length === 0) return cli.out.text('Nothing waits in any lane.');
  cli.out.table(
    ['LANE', 'READY', 'LEASED', 'DEFERRED', 'HELD', 'OLDEST', 'NEXT', 'BACK-OFF', 'WHY'],
    answer.lanes.map((lane) => [
      lane.lane,
      String(lane.ready),
      String(lane.leased),
      String(lane.deferred),
      lane.onHold ? `${lane.held} (lane held)` : String(lane.held),
      lane.oldestAt === null ? '-' : spanText(Date.now() - Date.parse(lane.oldestAt)),
      lane.nextAt === null ? '-' : spanText(Date.parse(lane.nextAt) - Date.now()),
      lane.backOffUntil === null ? '-' : spanText(Date.parse(lane.backOffUntil) - Date.now()),
      cut(lane.backOffCause ?? '-', MAX_COLUMNS),
    ]),
  );
}

async function show(cli: Cli, id: string): Promise<void> {
  const message = await openApi({ dataDir: cli.dataDir() }).queued(id);
  if (cli.json) return cli.out.json(message);
  cli.out.text(messageText(message));
}

function messageText(message: QueuedMessageView): string {
  const lines = [
    `message   ${message.id}`,
    `subject   ${message.subject || '(none)'}`,
    `from      ${message.from?.text ?? '<> (automatic)'}`,
    `accepted  ${dateText(message.acceptedAt)}, expires ${dateText(message.expiresAt)}`,
    `size      ${sizeText(message.sizeBytes)}`,
    '',
  ];
  for (const row of message.recipients) {
    lines.push(`${row.to}  ${row.state}, ${row.attempts} ${row.attempts === 1 ? 'attempt' : 'attempts'}${row.nextAt === null ? '' : `, next ${dateText(row.nextAt)}`}`);
    lines.push(`  lane   ${row.lane}`);
    if (row.backOffCause !== null) lines.push(`  waits  The site is left alone until then: ${row.backOffCause}`);
    if (row.lastOutcome !== null) lines.push(`  last   ${replyText(row.lastOutcome)}`, `  cause  ${row.lastOutcome.cause}`, `  fix    ${row.lastOutcome.fix}`);
  }
  return lines.join('\n');
}
