// Searches and pages with a long history, while the relay works: makes a history (a million messages unless told), starts the server on it, loads it, and asks the
// API as the dashboard does. `node bench/history.ts [--messages N] [--data DIR] [--rate N] [--json]`; a DIR that is there is used again.

import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { openSearch } from '#store/history/search.ts';
import { tellHistory, writeHistory } from '../test/support/history.ts';
import { startPostern } from '../test/support/postern.ts';
import type { Postern } from '../test/support/postern.ts';
import { accepted, connectTo } from '../test/support/submit.ts';
import { closeAll } from '../test/support/temp.ts';

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000000' },
    data: { type: 'string' },
    rate: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
  },
});
const messages = Number(values.messages);
const rounds = Number(values.rounds);
const DAY_MS = 86_400_000;

type Row = { readonly question: string; readonly path: string; readonly rows: number; readonly medianMs: number; readonly worstMs: number };

function build(dataDir: string): void {
  const nowMs = Date.now();
  const path = join(dataDir, 'history.db');
  const startMs = performance.now();
  writeHistory(path, tellHistory({ messages, fromMs: nowMs - 25 * DAY_MS, toMs: nowMs - 60_000, recipients: 60_000 }), { batch: 250 });
  const search = openSearch(join(dataDir, 'search.db'), path);
  while (search.catchUp(5000) > 0);
  search.close();
  process.stderr.write(`${messages} messages written and indexed in ${((performance.now() - startMs) / 1000).toFixed(0)} s\n`);
}

/** So many messages a second, captured: the relay works, and nothing leaves. */
async function work(postern: Postern, signal: AbortSignal): Promise<number> {
  const client = await connectTo(postern.port('submission'), { credential: await postern.credential(`load-${process.pid}`) });
  let sent = 0;
  const startMs = performance.now();
  while (!signal.aborted) {
    await accepted(client, { to: ['someone@domain1.test'], content: 'From: a@sender1.example\r\nTo: b@domain1.test\r\nSubject: invoice\r\n\r\nHello\r\n' });
    sent++;
    const aheadMs = (sent / Number(values.rate)) * 1000 - (performance.now() - startMs);
    if (aheadMs > 1) await new Promise((resolve) => setTimeout(resolve, aheadMs));
  }
  await client.quit();
  return sent / ((performance.now() - startMs) / 1000);
}

async function main(): Promise<void> {
  const dataDir = values.data ?? mkdtempSync(join(tmpdir(), 'postern-history-'));
  if (!existsSync(join(dataDir, 'history.db'))) build(dataDir);
  const postern = await startPostern({ dataDir, config: '[queue]\nhistory = "60d"\n', env: { POSTERN_HTTP__REQUESTS_PER_TOKEN: '10000' } });
  const { token } = await postern.json<{ token: string }>('token', 'add', `bench-${process.pid}`, '--scope', 'admin');
  const get = async <T>(path: string): Promise<{ body: T; ms: number }> => {
    const startMs = performance.now();
    const response = await fetch(`${postern.http}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const body = (await response.json()) as T;
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(body)}`);
    return { body, ms: performance.now() - startMs };
  };
  const ending = new AbortController();
  const working = work(postern, ending.signal);
  const rows: Row[] = [];
  for (const [question, path] of await questions(get)) {
    const spans: number[] = [];
    let found = 0;
    for (let round = 0; round < rounds; round++) {
      const { body, ms } = await get<Record<string, unknown>>(path);
      spans.push(ms);
      const list = body['messages'] ?? body['events'] ?? body['buckets'] ?? body['inbound'];
      found = Array.isArray(list) ? list.length : 1;
    }
    spans.sort((a, b) => a - b);
    rows.push({ question, path, rows: found, medianMs: spans[Math.floor(spans.length / 2)] ?? 0, worstMs: spans.at(-1) ?? 0 });
  }
  ending.abort();
  const perSecond = await working;
  if (values.json) process.stdout.write(`${JSON.stringify({ messages, perSecond, rows })}\n`);
  else {
    for (const row of rows)
      process.stdout.write(`${row.medianMs.toFixed(0).padStart(6)} ms  worst ${row.worstMs.toFixed(0).padStart(5)} ms  ${String(row.rows).padStart(5)} rows  ${row.question}\n`);
    process.stdout.write(`${messages} messages of history, ${perSecond.toFixed(0)} messages/s submitted meanwhile\n`);
  }
  await closeAll();
  if (values.data === undefined) rmSync(dataDir, { recursive: true, force: true });
}

type Get = <T>(path: string) => Promise<{ body: T; ms: number }>;
type Page = { messages: { id: string; to: string[]; messageIdHeader: string }[]; next: string | null };

/** Deep pages are asked for by ids from the middle and the end. */
async function questions(get: Get): Promise<[string, string][]> {
  const { body } = await get<Page>('/v1/messages?since=26d&status=delivered&limit=1');
  const [newest] = body.messages;
  const [old] = (await get<Page>('/v1/messages?text=number%20777&limit=1')).body.messages;
  const deep = old?.id ?? newest?.id ?? '';
  const list = (query: string): string => `/v1/messages?limit=50${query}`;
  return [
    ['the newest', list('')],
    ['a deep page', list(`&before=${deep}`)],
    ['to an address', list(`&to=${encodeURIComponent(old?.to[0] ?? 'user1@domain1.test')}`)],
    ['to a domain', list('&to=domain7.test')],
    ['to a domain that has nothing', list('&to=nothing.test')],
    ['from an address', list('&from=app7%40sender3.example')],
    ['from a domain, a deep page', list(`&from=sender3.example&before=${deep}`)],
    ['from one and to another domain', list('&from=sender3.example&to=domain9.test')],
    ['bounced', list('&status=bounced')],
    ['expired, from a domain', list('&status=expired&from=sender3.example')],
    ['bounced, to an address', list(`&status=bounced&to=user9%40domain9.test`)],
    ['delivered, to a domain', list('&status=delivered&to=domain9.test')],
    ['deferred, since an hour', list('&status=deferred&since=1h')],
    ['since a day', list('&since=24h')],
    ['since a day, a credential that is quiet', list('&since=24h&credential=nobody')],
    ['a credential', list('&credential=app5')],
    ['a project', list('&credential=app3')],
    ['a word', list('&text=invoice')],
    ['two words', list('&text=invoice%20alert')],
    ['a beginning of a word', list('&text=newsl')],
    ['a number that one message has', list('&text=number%20777')],
    ['a word that nothing has', list('&text=xylophone')],
    ['a Message-ID', list(`&text=${encodeURIComponent(old?.messageIdHeader ?? '<x@y>')}`)],
    ['a word, bounced', list('&text=invoice&status=bounced')],
    ['one message', `/v1/messages/${deep}`],
    ['statistics, 24 hours by hour', '/v1/statistics/mail?since=24h&span=hour'],
    ['statistics, latency of 25 days', '/v1/statistics/latency?since=25d&span=day'],
    ['statistics, encryption of 25 days', '/v1/statistics/encryption?since=25d'],
    ['statistics, ports of 25 days by hour', '/v1/statistics/ports?since=25d&span=hour'],
    ['events of a day ago', '/v1/events?since=24h'],
    ['bounces of a day ago', '/v1/events?since=24h&types=message.bounced'],
  ];
}

try {
  await main();
} finally {
  await closeAll();
}
process.exit();
