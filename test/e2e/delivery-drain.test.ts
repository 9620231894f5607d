// The end of a server that is delivering: what runs may end and counts, what waits stays whole in the queue, nothing is sent twice.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import type { Options, Postern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo, message } from '../support/submit.ts';
import { freePort, until } from '../support/temp.ts';

let dns: Dns;
let mxPort: number;

before(async () => {
  mxPort = await freePort('127.0.7.1');
  dns = await startDns({ 'example.test': [1, 2, 3, 4, 5].map((n) => `d${n} MX 10 h${n}\nh${n} A 127.0.7.${n}`).join('\n') });
});

function server(options: Options = {}): Promise<Postern> {
  return startPostern({
    profiles: ['mx'],
    ...options,
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${mxPort}\nallow_private_addresses = true\n[inbound]\ndomains = ["d1.example.test", "d2.example.test", "d3.example.test", "d4.example.test", "d5.example.test"]\n`,
  });
}

async function send(postern: Postern, count: number, domain: string): Promise<void> {
  const client = await connectTo(postern.port('mx'));
  for (let i = 0; i < count; i++) await accepted(client, { from: 'x@nowhere.invalid', to: [`u${i}@${domain}`], content: message('drain') });
  await client.quit();
}

describe('the end of a server', { concurrency: true }, () => {
  test('SIGTERM while the receiver still thinks about the content: its answer counts, and the rest is delivered once, after the next start', async () => {
    const gate = Promise.withResolvers<void>();
    let contents = 0;
    const before = (line: string): Promise<void> | undefined => {
      if (line !== '.') return undefined;
      contents++;
      return gate.promise;
    };
    const receiver = await startReceiver({ address: '127.0.7.1', port: mxPort, before });
    const postern = await server();
    await send(postern, 120, 'd1.example.test');
    await until('some contents are there', () => contents >= 3);
    const stopped = postern.stop();
    await postern.logged('server.draining');
    // Longer than the patience with those who have not come to the content.
    await setTimeout(6000);
    const asked = contents;
    gate.resolve();
    assert.equal(await stopped, 0);
    assert.equal(receiver.count, asked, 'nothing new began, and what had begun was let end');
    assert.equal(receiver.lines.filter((line) => line === 'QUIT').length, receiver.connections, 'every connection was taken leave of');
    const again = await server({ dataDir: postern.dataDir });
    await until('all are there', () => receiver.count >= 120);
    await until('the queue is empty', async () => (await again.json<unknown[]>('queue', 'list')).length === 0);
    const to = receiver.received.flatMap((mail) => mail.to);
    assert.equal(new Set(to).size, 120);
    assert.equal(to.length, 120);
  });

  for (const { phase, site, withinMs } of [
    { phase: '(greeting)', site: 3, withinMs: 4500 },
    { phase: 'RCPT', site: 4, withinMs: 9000 },
    { phase: 'DATA', site: 5, withinMs: 9000 },
  ]) {
    test(`SIGTERM while the receiver is silent at ${phase}: the server is not kept, and the mail waits as if it had not been tried`, async () => {
      const receiver = await startReceiver({
        address: `127.0.7.${site}`,
        port: mxPort,
        greeting: phase === '(greeting)' ? 'stall' : '220 here',
        reply: (line) => (line.startsWith(phase) ? 'stall' : undefined),
      });
      const postern = await server();
      await send(postern, 3, `d${site}.example.test`);
      await until('it stalls', () => (phase === '(greeting)' ? receiver.connections > 0 : receiver.lines.some((line) => line.startsWith(phase))));
      const began = Date.now();
      assert.equal(await postern.stop(), 0);
      const lasted = Date.now() - began;
      assert.ok(lasted < withinMs, `${lasted} ms`);
      receiver.script = {};
      const again = await server({ dataDir: postern.dataDir });
      await until('all are there', () => receiver.count >= 3);
      await until('the queue is empty', async () => (await again.json<unknown[]>('queue', 'list')).length === 0);
      assert.equal(receiver.count, 3);
      const [message] = await again.json<{ id: string }[]>('message', 'list', '--limit', '1');
      const { recipients } = await again.json<{ recipients: { attempts: number }[] }>('message', 'show', message?.id ?? '');
      assert.equal(recipients[0]?.attempts, 1, 'the one that was broken off counts for nothing');
      await again.stop();
      await receiver.close();
    });
  }

  test('SIGTERM while a receiver never answers the content: cut off after 30 seconds, and told as a possible duplicate', async () => {
    const receiver = await startReceiver({ address: '127.0.7.2', port: mxPort, reply: (line) => (line === '.' ? 'stall' : undefined) });
    const postern = await server();
    await send(postern, 1, 'd2.example.test');
    await until('it is there', () => receiver.lines.includes('DATA'));
    const began = Date.now();
    process.kill(postern.pid, 'SIGTERM');
    await postern.logged('server.stopped', 40_000);
    const lasted = Date.now() - began;
    assert.ok(lasted > 29_000 && lasted < 34_000, `${lasted} ms`);
    receiver.script = {};
    const again = await server({ dataDir: postern.dataDir });
    const [row] = await again.json<{ id: string; attempts: number; lastOutcome: { class: string; possibleDuplicate: boolean } | null }[]>('queue', 'list');
    assert.equal(row?.attempts, 1);
    assert.equal(row?.lastOutcome?.class, 'aborted');
    assert.equal(row?.lastOutcome?.possibleDuplicate, true);
  });
});
