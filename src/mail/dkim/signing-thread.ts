// The entry of a thread that signs: one batch after the other, each answered in one message (signing-threads.ts). A key comes once and is
// known by its number afterwards.

import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { errorText } from '#base/failure.ts';
import type { AlgorithmName } from './algorithms.ts';
import { computeSignature } from './pen.ts';

export type NewKey = { readonly number: number; readonly algorithm: AlgorithmName; readonly privateKey: KeyObject };

export type Batch = {
  /** All keys that were told before are to be forgotten. */
  readonly forget: boolean;
  readonly keys: readonly NewKey[];
  /** One entry a signature: the number of its key, and what is signed. */
  readonly numbers: readonly number[];
  readonly inputs: readonly string[];
};

/** One entry a signature, in base64; null where `failed` says why there is none. */
export type Answer = { readonly signatures: readonly (string | null)[]; readonly failed: readonly string[] };

const port = parentPort;
if (port === null) throw new Error('signing-thread.ts runs as a worker thread only');
const known = new Map<number, NewKey>();
port.on('message', (batch: Batch) => port.postMessage(answerTo(batch)));

function answerTo({ forget, keys, numbers, inputs }: Batch): Answer {
  if (forget) known.clear();
  for (const key of keys) known.set(key.number, key);
  const failed: string[] = [];
  const signatures = numbers.map((number, i) => {
    try {
      const key = known.get(number);
      if (key === undefined) throw new Error(`nobody told key ${number}`);
      return computeSignature(key.algorithm, key.privateKey, inputs[i] ?? '');
    } catch (error) {
      failed.push(errorText(error));
      return null;
    }
  });
  return { signatures, failed };
}
