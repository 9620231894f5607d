// The log: what happened to which message, in order, as lines that are cheap to write and few bytes to keep. What else is known of a change lies with its
// message, under the same number.

import type { MessageId, QueueEvent } from '#queue/records.ts';
import type { Told } from '#store/told.ts';

export type LogRow = { readonly seq: number; readonly at: number; readonly changes: string };
export type Change = { readonly type: QueueEvent['type']; readonly id: MessageId; readonly n: number | null };

/** `accepted ID`, `delivered ID 0`, a line each. */
export function logText(changes: readonly Told[]): string {
  return changes.map((told) => ('n' in told && told.n !== null ? `${told.type} ${told.id} ${told.n}` : `${told.type} ${told.id}`)).join('\n');
}

export function changesOf(text: string): Change[] {
  return text.split('\n').map((line) => {
    const [type = '', id = '', n] = line.split(' ');
    return { type: type as Change['type'], id, n: n === undefined ? null : Number(n) };
  });
}
