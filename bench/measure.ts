// What a server used: CPU seconds and memory of a process and all below it, from /proc.

import { readFileSync, readdirSync } from 'node:fs';

const TICKS = 100;

type Stat = { readonly parent: number; readonly own: number; readonly reaped: number };

function readStat(pid: number): Stat | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    const field = (n: number): number => fields[n - 3] ?? 0;
    return { parent: field(4), own: (field(14) + field(15)) / TICKS, reaped: (field(16) + field(17)) / TICKS };
  } catch {
    return null;
  }
}

function tree(root: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    const stat = Number.isInteger(pid) ? readStat(pid) : null;
    if (stat !== null) parents.set(pid, stat.parent);
  }
  const found = [root];
  for (let i = 0; i < found.length; i++) for (const [pid, parent] of parents) if (parent === found[i]) found.push(pid);
  return found;
}

/** CPU seconds of the process and everything it started, ended children included. */
export function cpuSeconds(root: number): number {
  return tree(root).reduce((sum, pid) => {
    const stat = readStat(pid);
    return sum + (stat === null ? 0 : stat.own + stat.reaped);
  }, 0);
}

/** Resident megabytes of all of them now (`VmRSS`), or at most (`VmHWM`). */
export function memoryMb(root: number, kind: 'VmRSS' | 'VmHWM'): number {
  return tree(root).reduce((sum, pid) => {
    try {
      const line = new RegExp(`^${kind}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
      return sum + Number(line?.[1] ?? 0) / 1024;
    } catch {
      return sum;
    }
  }, 0);
}
