// How fast the store alone accepts and settles, through its port: `node bench/store.ts [messages] [in flight]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openMessageIds } from '#base/id.ts';
import type { NewMessage } from '#queue/queue.ts';
import type { Outcome } from '#queue/records.ts';
import { openStore } from '#store/open.ts';
import { connectQueue } from '#store/sqlite/client.ts';

const messages = Number(process.argv[2] ?? 50_000);
const inFlight = Number(process.argv[3] ?? 100);
const dataDir = mkdtempSync(join(process.env.BENCH_DIR ?? tmpdir(), 'postern-store-'));
const generation = new Int32Array(new SharedArrayBuffer(4));
const HISTORY = { historyMs: 86_400_000, historyBytes: 1e11, eventsMs: 86_400_000 };
const store = await openStore({ dataDir, minFreeBytes: 0, reserveBytes: 0, ...HISTORY, captureMs: 86_400_000, generation, died: (cause) => console.error(cause) });
const queue = connectQueue(store.connect(1), { memoryBytes: 32 * 1024 * 1024 });
const newId = openMessageIds();
const body = Buffer.alloc(5000, 'x'.repeat(76) + '\r\n');

function message(): NewMessage {
  const nowMs = Date.now();
  const address = { local: 'you', domain: 'example.com', text: 'you@example.com' };
  return {
    envelope: {
      id: newId(nowMs),
      from: { local: 'me', domain: 'example.org', text: 'me@example.org' },
      acceptedAtMs: nowMs,
      expiresAtMs: nowMs + 1e8,
      warnAtMs: nowMs + 1e7,
      sizeBytes: 5000,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      ret: null,
      envid: null,
      kind: 'mail',
      mode: 'live',
      origin: { profile: 'mx', clientAddress: '127.0.0.1', helo: 'client', tls: null, credential: null },
      subject: 'A subject',
      messageIdHeader: '<1@x>',
    },
    recipients: [{ n: 0, address, notify: null, orcpt: null, lane: 'mx:example.com' }],
    tail: [body],
    written: 0,
  };
}

const outcome: Outcome = {
  verdict: 'delivered',
  scope: 'recipient',
  code: 250,
  enhanced: '2.0.0',
  text: 'Ok: queued',
  class: 'delivered',
  cause: '',
  fix: '',
  route: 'mx',
  remoteHost: 'mx.example.com',
  remoteAddress: '127.0.0.1',
  remotePort: 25,
  tls: 'none',
  possibleDuplicate: false,
  startedAtMs: 0,
  durationMs: 3,
};

let left = messages;
async function loop(): Promise<void> {
  while (left-- > 0) {
    for (const lease of await queue.accept(message(), { lease: true })) {
      await queue.settle({ lease, settlements: [{ n: 0, state: 'delivered', outcome }], offspring: [] });
    }
  }
}

const startMs = performance.now();
const startCpu = process.cpuUsage();
await Promise.all(Array.from({ length: inFlight }, loop));
const seconds = (performance.now() - startMs) / 1000;
const cpu = process.cpuUsage(startCpu);
console.log(
  `${messages} accepted and settled in ${seconds.toFixed(2)} s: ${Math.round(messages / seconds)}/s, ${((cpu.user + cpu.system) / messages).toFixed(0)} us CPU a message, ${inFlight} in flight`,
);
await store.flushHistory();
console.log(
  `history: ${(await store.history.list({ limit: 1 })).rows.map((row) => row.status).join()}; total CPU with history ${((process.cpuUsage(startCpu).user + process.cpuUsage(startCpu).system) / messages).toFixed(0)} us a message`,
);
await queue.close();
await store.close();
rmSync(dataDir, { recursive: true });
