// Durations and sizes as people write them. Pure.

const DURATION_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
const SIZE_BYTES: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30, TIB: 2 ** 40 };

/** `500ms`, `90s`, `1.5h`, `4d` in milliseconds; null for anything else. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)$/.exec(text.trim());
  return match === null ? null : Math.round(Number(match[1]) * (DURATION_MS[match[2] ?? ''] ?? NaN));
}

/** `50MB`, `1GiB`, `1000` in bytes; null for anything else. MB is a million, MiB 1,048,576. */
export function parseSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?i?b)?$/i.exec(text.trim());
  return match === null ? null : Math.round(Number(match[1]) * (SIZE_BYTES[(match[2] ?? 'B').toUpperCase()] ?? NaN));
}
