// Temporary directories and processes of one test file: removed and ended when it ends, whatever happens.

import { spawn } from 'node:child_process';
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { isMadeAfter } from '#base/ports.ts';

const directories = new Set<string>();
const children = new Set<ChildProcess>();
const closers = new Set<() => unknown>();

// Registered while the file is loaded: inside of a hook it would belong to the hook.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) after(closeAll);
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

/** Ends and removes everything; tests do it by themselves. */
export async function closeAll(): Promise<void> {
  for (const close of closers) await close();
  await Promise.all([...children].map((child) => endProcess(child)));
  for (const path of directories) rmSync(path, { recursive: true, force: true });
}

/** Called when the test file ends. */
export function atEnd(close: () => unknown): void {
  closers.add(close);
}

/** A fresh directory; short, because Unix sockets lie in it. */
export function tempDir(name = 't'): string {
  const path = mkdtempSync(join(tmpdir(), `p-${name}-`));
  directories.add(path);
  return path;
}

export type Running = {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it has written so far. */ output(): string;
  end(signal?: NodeJS.Signals): Promise<number | null>;
};

/** Starts a program that runs until the test ends. */
export function startProcess(command: string, args: readonly string[], options: SpawnOptions = {}): Running {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  children.add(child);
  let output = '';
  const take = (chunk: Buffer): void => {
    output += chunk.toString('latin1');
    if (output.length > 8_000_000) output = output.slice(-4_000_000);
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  child.on('error', (error) => (output += `\n[${error.message}]\n`));
  return { child, pid: child.pid ?? 0, output: () => output, end: (signal = 'SIGTERM') => endProcess(child, signal) };
}

async function endProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
    const ended = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(timer);
  }
  children.delete(child);
  return child.exitCode;
}

export type Done = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

/** Runs a program to its end. */
export async function run(command: string, args: readonly string[], options: SpawnOptions & { readonly input?: string | Buffer; readonly timeoutMs?: number } = {}): Promise<Done> {
  const { input, timeoutMs, ...rest } = options;
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...rest });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('latin1').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('latin1').on('data', (text: string) => (stderr += text));
  child.stdin?.on('error', () => {});
  child.stdin?.end(input ?? '');
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs ?? 60_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  return { code, stdout, stderr };
}

/** A TCP port that is free now, on this address; none of those that outgoing connections are given, so that nobody takes it in between. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 22_000);
    // The digits of a port below the ephemeral ones say how it is spoken to.
    if (([25, 465, 587] as const).some((known) => isMadeAfter(port, known))) continue;
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => server.once('error', () => resolve(false)).listen({ port, host: address, exclusive: true }, () => resolve(true)));
    if (!free) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** True once something accepts connections there. */
export function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}

/** Waits until `check` gives something; fails with `what` after `withinMs`. */
export async function until<T>(what: string, check: () => T | Promise<T>, withinMs = 15_000): Promise<NonNullable<T>> {
  const endMs = Date.now() + withinMs;
  for (;;) {
    const value = await check();
    if (value !== null && value !== undefined && value !== false) return value;
    if (Date.now() > endMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
