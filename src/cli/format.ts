// How commands write times, sizes and outcomes for people. Pure; JSON output does not pass here.

import type { Outcome } from '#queue/records.ts';
import type { Wire } from '#http/wire.ts';

/** `2026-11-24 08:15:02Z`, or a dash. */
export function dateText(iso: string | null): string {
  return iso === null ? '-' : iso.replace('T', ' ').replace(/\.\d+Z$/, 'Z');
}

/** A span in its largest fitting unit: `45s`, `12m`, `3h`, `2d`; `now` for what is past. */
export function spanText(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds <= 0) return 'now';
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`;
}

export function sizeText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** What the other side said, or what we found, in one line. */
export function replyText(outcome: Wire<Outcome>): string {
  return [outcome.code === 0 ? '' : String(outcome.code), outcome.enhanced, outcome.text].filter((part) => part !== '').join(' ');
}
