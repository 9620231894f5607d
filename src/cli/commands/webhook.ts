// `postern webhook`: where events are told. The secret of a webhook is made by the server and shown once.

import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { EVENT_TYPES, EVENT_TYPE_NAMES } from '#events/event.ts';
import type { EventType } from '#events/event.ts';
import { openApi } from '#cli/api.ts';
import { examplesFor } from '#cli/examples.ts';
import { dateText } from '#cli/format.ts';
import type { Cli } from '#cli/main.ts';
import type { WebhookMade, WebhookView } from '#http/views/webhook.ts';
import { withoutUndefined } from '#http/wire.ts';
import { collect } from '#cli/values.ts';

type AddOptions = { type?: EventType[]; description?: string; project?: string; concurrency: string };
type ReplayOptions = { event?: string[]; since?: string; until?: string; type?: EventType[] };

const EXAMPLES = `
Examples:
  postern webhook add https://app.example.com/hooks/mail --type message.bounced --type message.delivered
  postern webhook list
  postern webhook show wh_abcdefghijkm
  postern webhook test wh_abcdefghijkm
  postern webhook deliveries wh_abcdefghijkm
  postern webhook replay wh_abcdefghijkm --since 2h
  postern webhook rotate wh_abcdefghijkm --overlap 24
  postern webhook disable wh_abcdefghijkm
  postern webhook enable wh_abcdefghijkm
  postern webhook remove wh_abcdefghijkm

Types:
${EVENT_TYPE_NAMES.map((name) => `  ${name.padEnd(20)}${EVENT_TYPES[name].replaceAll('`', '')}`).join('\n')}`;

export function register(program: Command, cli: Cli): void {
  const command = program.command('webhook').description('have events told to a URL, signed').addHelpText('afterAll', examplesFor(EXAMPLES));
  const type = (): Option => new Option('--type <type>', 'tell events of this type (repeat for more; without it all)').argParser(typeOf);
  command
    .command('add <url>')
    .description('tell events to this https URL from now on; the secret is shown once')
    .addOption(type())
    .option('--description <text>', 'what it is, for people')
    .option('--project <project>', "only this project's mail")
    .option('--concurrency <n>', 'requests at once; 1: in order', '8')
    .action((url: string, options: AddOptions) => add(cli, url, options));
  command
    .command('list')
    .description('list the webhooks, and how they stand')
    .action(() => list(cli));
  command
    .command('show <id>')
    .description('show one webhook')
    .action((id: string) => show(cli, id));
  command
    .command('test <id>')
    .description('send a test event now, and see what comes back')
    .action((id: string) => test(cli, id));
  command
    .command('deliveries <id>')
    .description('the last attempts, newest first')
    .option('--limit <n>', 'at most so many', '50')
    .action((id: string, options: { limit: string }) => deliveries(cli, id, options));
  command
    .command('replay <id>')
    .description('tell events again, by their ids or of a time')
    .option('--event <id>', 'this event (repeat for more)', collect)
    .option('--since <time>', 'from then on: 2026-11-24, 2026-11-24T08:00:00Z, or a span like 30m, 24h, 7d')
    .option('--until <time>', 'up to then')
    .addOption(type())
    .action((id: string, options: ReplayOptions) => replay(cli, id, options));
  command
    .command('rotate <id>')
    .description('make a new secret; the old one signs too, for a while')
    .option('--overlap <hours>', 'for so long (0 to 168)', '24')
    .action((id: string, options: { overlap: string }) => rotate(cli, id, options));
  command
    .command('enable <id>')
    .description('go on with one that is disabled, from where it stopped')
    .option('--skip', 'leave out what happened meanwhile')
    .action((id: string, options: { skip?: boolean }) => enable(cli, id, options));
  command
    .command('disable <id>')
    .description('tell it nothing until it is enabled')
    .action((id: string) => disable(cli, id));
  command
    .command('remove <id>')
    .description('remove it, with what waits for it')
    .action((id: string) => remove(cli, id));
}

async function add(cli: Cli, url: string, { type: types, description, project, concurrency }: AddOptions): Promise<void> {
  const made = await openApi({ dataDir: cli.dataDir() }).addWebhook({
    url,
    ...withoutUndefined({ description }),
    types: types ?? null,
    project: project ?? null,
    concurrency: Number(concurrency),
  });
  showSecret(cli, made);
  cli.out.note(`See whether it arrives: postern webhook test ${made.id}`);
}

async function rotate(cli: Cli, id: string, { overlap }: { overlap: string }): Promise<void> {
  showSecret(cli, await openApi({ dataDir: cli.dataDir() }).rotateWebhook(id, Number(overlap)));
  cli.out.note(overlap === '0' ? 'The old secret no longer signs.' : `Both sign for ${overlap} hours: change the receiver over before.`);
}

function showSecret(cli: Cli, made: WebhookMade): void {
  if (cli.json) return cli.out.json(made);
  cli.out.text(`${factsText(made)}\nsecret       ${made.secret}`);
  cli.out.note('The secret is shown this once. How a request is verified: docs/webhooks.md');
}

async function list(cli: Cli): Promise<void> {
  const { webhooks } = await openApi({ dataDir: cli.dataDir() }).webhooks();
  if (cli.json) return cli.out.json(webhooks);
  if (webhooks.length === 0) return cli.out.text('There are no webhooks. Make one with: postern webhook add URL');
  cli.out.table(
    ['ID', 'STATE', 'URL', 'TYPES', 'WAITING', 'LAST TAKEN'],
    webhooks.map((one) => [one.id, one.state, one.url, one.types?.length.toString() ?? 'all', String(one.pending), dateText(one.lastSuccessAt)]),
  );
}

async function show(cli: Cli, id: string): Promise<void> {
  const webhook = await openApi({ dataDir: cli.dataDir() }).webhook(id);
  if (cli.json) cli.out.json(webhook);
  else cli.out.text(factsText(webhook));
}

function factsText(one: WebhookView): string {
  const rows: [string, string][] = [
    ['id', one.id],
    ['url', one.url],
    ['types', one.types?.join(' ') ?? 'all'],
    ['project', one.project ?? 'all'],
    ['at once', String(one.concurrency)],
    ['state', one.disabledCause === null ? one.state : `${one.state}: ${one.disabledCause}`],
    ['waiting', one.oldestAt === null ? String(one.pending) : `${one.pending}, since ${dateText(one.oldestAt)}`],
    ['last taken', dateText(one.lastSuccessAt)],
  ];
  if (one.failingSince !== null) rows.push(['failing', `since ${dateText(one.failingSince)}`]);
  if (one.missed > 0) rows.push(['missed', `${one.missed} times events were no longer kept`]);
  return rows.map(([name, value]) => `${name.padEnd(13)}${value}`).join('\n');
}

async function test(cli: Cli, id: string): Promise<void> {
  const result = await openApi({ dataDir: cli.dataDir() }).testWebhook(id);
  if (!result.taken) process.exitCode = 1;
  if (cli.json) return cli.out.json(result);
  const said = result.status === null ? 'no answer' : `HTTP ${result.status}${result.answer === '' ? '' : `: ${result.answer}`}`;
  cli.out.text(result.taken ? `Taken in ${result.durationMs} ms (${said}).` : `Not taken (${said}).\ncause: ${result.cause}\nfix:   ${result.fix}`);
}

async function deliveries(cli: Cli, id: string, { limit }: { limit: string }): Promise<void> {
  const { deliveries: rows } = await openApi({ dataDir: cli.dataDir() }).webhookDeliveries(id, limit);
  if (cli.json) return cli.out.json(rows);
  if (rows.length === 0) return cli.out.text('Nothing was told yet.');
  cli.out.table(
    ['AT', 'EVENT', 'TYPE', 'TRY', 'RESULT', 'STATUS', 'MS', 'CAUSE'],
    rows.map((row) => [dateText(row.at), row.event, row.type, String(row.attempt), row.result, row.status === null ? '-' : String(row.status), String(row.durationMs), row.cause]),
  );
}

async function replay(cli: Cli, id: string, { event: events, since, until, type: types }: ReplayOptions): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).replayWebhook(id, withoutUndefined({ events, since, until, types }));
  if (cli.json) return cli.out.json(answer);
  cli.out.text(answer.events === null ? 'They are told again, after what is new.' : `${answer.events} ${answer.events === 1 ? 'event is' : 'events are'} told again.`);
}

async function enable(cli: Cli, id: string, { skip }: { skip?: boolean }): Promise<void> {
  const webhook = await openApi({ dataDir: cli.dataDir() }).enableWebhook(id, skip === true);
  if (cli.json) cli.out.json(webhook);
  else cli.out.text(`Webhook ${id} is told again of what happens.`);
}

async function disable(cli: Cli, id: string): Promise<void> {
  const webhook = await openApi({ dataDir: cli.dataDir() }).disableWebhook(id);
  if (cli.json) cli.out.json(webhook);
  else cli.out.text(`Webhook ${id} is told nothing until: postern webhook enable ${id}`);
}

async function remove(cli: Cli, id: string): Promise<void> {
  const answer = await openApi({ dataDir: cli.dataDir() }).removeWebhook(id);
  if (cli.json) cli.out.json(answer);
  else cli.out.text(`Webhook ${id} is removed.`);
}

function typeOf(value: string, before: unknown): EventType[] {
  if (!(value in EVENT_TYPES)) throw new InvalidArgumentError(`There are ${EVENT_TYPE_NAMES.join(', ')}.`);
  return [...((before as EventType[] | undefined) ?? []), value as EventType];
}
