// What is short stays bounded: memory with big messages and with a backlog, and what happens when the disk is full.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkStore } from '#store/open.ts';
import { startDns } from '../support/dns.ts';
import { startPostern } from '../support/postern.ts';
import { startReceiver } from '../support/receiver.ts';
import { accepted, connectTo, message, submit } from '../support/submit.ts';
import { atEnd, tempDir, until } from '../support/temp.ts';

const MB = 1_000_000;

function rssMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1000;
}

/** The highest memory while something runs. */
async function peakOf<T>(pid: number, work: Promise<T>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, rssMb(pid))), 20);
  await work;
  clearInterval(timer);
  return Math.max(peak, rssMb(pid));
}

test('ten messages of 45 MB at once, in and out, cost a fraction of their size', async (t) => {
  const receiver = await startReceiver({ address: '127.0.0.80', forget: true });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.80' });
  const postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test"]\n`,
  });
  const warm = await connectTo(postern.port('mx'));
  for (let i = 0; i < 20; i++) await accepted(warm, { to: ['warm@example.test'], content: message('warm', `${'x'.repeat(76)}\r\n`.repeat(1000)) });
  await warm.quit();
  const before = rssMb(postern.pid);
  const content = Buffer.from(message('big', `${'y'.repeat(76)}\r\n`.repeat(Math.floor((45 * MB) / 78))));
  const work = (async () => {
    await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const client = await connectTo(postern.port('mx'));
        await accepted(client, { to: [`big${i}@example.test`], content });
        await client.quit();
      }),
    );
    await until('all are delivered', () => receiver.count === 30, 120_000);
  })();
  const grown = (await peakOf(postern.pid, work)) - before;
  t.diagnostic(`450 MB in flight, memory grew by ${grown.toFixed(0)} MB`);
  assert.ok(grown < 250, `${grown} MB`);
  await postern.stop();
});

const FIFTHS = 5;

test('a backlog for a receiver that takes nothing: memory bounded, acceptance goes on, and all of it drains when the receiver opens', async (t) => {
  let open = false;
  const receiver = await startReceiver({ address: '127.0.0.81', forget: true, reply: (line) => (!open && line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.81' });
  const postern = await startPostern({
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test"]\n[queue]\nmemory = "8MB"\nretry = { first = "1s", factor = 2, max = "2s", jitter = 0.2 }\n`,
  });
  const count = 100_000;
  const content = message('backlog', `${'z'.repeat(76)}\r\n`.repeat(62));
  let sent = 0;
  let done = 0;
  const marks = [Date.now()];
  const work = Promise.all(
    Array.from({ length: 20 }, async () => {
      const client = await connectTo(postern.port('mx'));
      while (sent < count) {
        sent++;
        await accepted(client, { to: ['a@example.test'], content });
        if (++done % (count / FIFTHS) === 0) marks.push(Date.now());
      }
      await client.quit();
    }),
  );
  const startMs = Date.now();
  const peak = await peakOf(postern.pid, work);
  const seconds = (Date.now() - startMs) / 1000;
  t.diagnostic(`${count} messages of 5 KB accepted at ${(count / seconds).toFixed(0)}/s with the receiver closed, peak memory ${peak.toFixed(0)} MB`);
  assert.ok(peak < 400, `${peak} MB`);
  // A fifth of the backlog at a time; the first is left out, as it begins with nothing there.
  const perSecond = marks.slice(2).map((atMs, i) => count / FIFTHS / ((atMs - (marks[i + 1] as number)) / 1000));
  t.diagnostic(`a fifth at a time after the first: ${perSecond.map((rate) => rate.toFixed(0)).join(', ')}/s`);
  assert.ok(Math.min(...perSecond.slice(1)) > (perSecond[0] as number) / 2, 'acceptance slows down by more than half');
  open = true;
  const drainMs = Date.now();
  const drained = until('all are delivered', () => receiver.count >= count, 300_000);
  const drainPeak = await peakOf(postern.pid, drained);
  t.diagnostic(`peak memory while it drained: ${drainPeak.toFixed(0)} MB`);
  assert.ok(drainPeak < 400, `${drainPeak} MB`);
  t.diagnostic(`drained at ${(count / ((Date.now() - drainMs) / 1000)).toFixed(0)}/s`);
  await until('the queue is empty', async () => (await postern.json<unknown[]>('queue', 'list')).length === 0);
  assert.equal(receiver.count, count);
  await postern.stop();
});

const isRoot = process.getuid?.() === 0;
test('a full disk: 452 4.3.1, mail already accepted goes on, and afterwards everything works', { skip: isRoot ? false : 'NEEDS ROOT to mount a small file system' }, async () => {
  const mount = join(tempDir('disk'), 'small');
  mkdirSync(mount);
  try {
    execFileSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', mount], { stdio: 'pipe' });
  } catch (error) {
    throw new Error(`a small file system cannot be mounted here: ${String(error)}`, { cause: error });
  }
  atEnd(() => execFileSync('/bin/umount', ['-l', mount]));
  let open = false;
  const receiver = await startReceiver({ address: '127.0.0.82', reply: (line) => (!open && line.startsWith('RCPT') ? '451 4.3.2 Not now' : undefined) });
  const dns = await startDns({ 'example.test': '@ MX 10 mx\nmx A 127.0.0.82' });
  const dataDir = join(mount, 'd');
  const config = (minFree: string): string =>
    `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\n[inbound]\ndomains = ["example.test"]\n[queue]\nmin_free = "${minFree}"\nreserve = "6MB"\nretry = { first = "300ms", factor = 1, max = "300ms", jitter = 0 }\n`;
  const filler = join(mount, 'filler');
  for (const minFree of ['6MB', '0']) {
    open = false;
    const postern = await startPostern({ dataDir, config: config(minFree) });
    const client = await connectTo(postern.port('mx'));
    const early = [];
    for (let i = 0; i < 10; i++) early.push(await accepted(client, { to: [`early${i}-${minFree}@example.test`], content: message(`early ${i}`) }));
    // Down to 3 MB for the one, to nothing at all for the other.
    const { bavail, bsize } = statfsSync(mount);
    const bytes = bavail * bsize - (minFree === '0' ? 0 : 3 * MB);
    try {
      writeFileSync(filler, Buffer.alloc(Math.max(0, bytes), 1));
    } catch {
      // Full is what it is for.
    }
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const content = message('too much', `${'x'.repeat(76)}\r\n`.repeat(15_000));
    const replies = await until('a refusal', async () => {
      const got = await submit(client, { from: 'x@e.example', to: ['late@example.test'], content });
      return got[0]?.reply.code === 452 ? got : null;
    });
    assert.equal(replies[0]?.reply.enhanced, '4.3.1');
    open = true;
    await until(
      'the early ones are delivered',
      () => Array.from({ length: 10 }, (_, i) => `early${i}-${minFree}@example.test`).every((to) => receiver.received.some((received) => received.to[0] === to)),
      30_000,
    );
    rmSync(filler);
    await until('mail is taken again', async () => (await submit(client, { from: 'x@e.example', to: [`after-${minFree}@example.test`] }))[0]?.reply.code === 250);
    await until('and delivered', () => receiver.received.some((received) => received.to[0] === `after-${minFree}@example.test`));
    await until('the queue is empty', async () => (await postern.json<unknown[]>('queue', 'list')).length === 0, 30_000);
    await client.quit();
    await postern.stop();
    assert.deepEqual(checkStore(dataDir), []);
  }
});
