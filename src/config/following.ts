// Defaults that would contradict what is written give way to it: whoever sets a small message size need not know that headers have a limit
// too. Contradictions between written values stay, and are told (build.ts).

import { ROWS } from './schema.ts';

type Shown = Map<string, { value: unknown; origin: string }>;
type Parsed = Record<string, unknown>;

/** The first of a pair may not be more than the second, `times` it; either gives way when it is a default. */
const PAIRS = [
  { small: 'headerSize', large: 'messageSize', times: 1 },
  { small: 'retryFirst', large: 'retryMax', times: 1 },
  { small: 'headerSize', large: 'incomingMemory', times: 2 },
] as const satisfies readonly { small: keyof typeof ROWS; large: keyof typeof ROWS; times: number }[];

/** Changes `parsed` (by property) and `shown` (by key, as written) alike. */
export function followWritten(parsed: Parsed, shown: Shown): void {
  // Whoever names a certificate means it, unless the mode is said too.
  if ((parsed['tlsCert'] ?? parsed['tlsKey'] ?? null) !== null && isDefault('tlsMode', shown)) take('tlsMode', { value: 'files', as: 'files' });
  for (const { small, large, times } of PAIRS) {
    const least = parsed[small];
    const most = parsed[large];
    if (typeof least !== 'number' || typeof most !== 'number' || least * times <= most) continue;
    if (isDefault(small, shown)) take(small, { value: Math.floor(most / times), as: times === 1 ? written(large, shown) : Math.floor(most / times) });
    else if (isDefault(large, shown)) take(large, { value: least * times, as: times === 1 ? written(small, shown) : least * times });
  }
  function take(property: keyof typeof ROWS, to: { value: unknown; as: unknown }): void {
    parsed[property] = to.value;
    shown.set(ROWS[property].key, { value: to.as, origin: 'default' });
  }
}

function isDefault(property: keyof typeof ROWS, shown: Shown): boolean {
  return shown.get(ROWS[property].key)?.origin === 'default';
}

function written(property: keyof typeof ROWS, shown: Shown): unknown {
  return shown.get(ROWS[property].key)?.value;
}
