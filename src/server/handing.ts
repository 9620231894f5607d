// Messages on their way from the main thread to one worker: those of one turn of the event loop travel together, and so they come to the store
// together, into one commit. Large ones travel alone, as nobody shall wait for them.

import { errorCode } from '#base/failure.ts';
import type { Submission, Submitted } from '#intake/submission.ts';
import type { SubmitAnswer } from './worker-protocol.ts';
import { WorkerRefusal } from './worker-handle.ts';

const LARGE_BYTES = 256 * 1024;

type Send = (submissions: readonly Submission[], transfer: readonly ArrayBuffer[]) => Promise<readonly SubmitAnswer[]>;
type Waiting = { readonly submission: Submission; readonly resolve: (submitted: Submitted) => void; readonly reject: (error: unknown) => void };

export class Handing {
  #waiting: Waiting[] = [];
  /** Handed over and not answered. */
  under = 0;

  add(submission: Submission, send: Send): Promise<Submitted> {
    this.under++;
    return new Promise<Submitted>((resolve, reject) => {
      const waiting = { submission: { ...submission, content: ownBytes(submission.content) }, resolve, reject };
      if (submission.content.length > LARGE_BYTES) return void go([waiting], send);
      if (this.#waiting.push(waiting) > 1) return;
      setImmediate(() => void go(this.#waiting.splice(0), send));
    }).finally(() => this.under--);
  }
}

/** Never rejects: whoever waits is told. */
async function go(waiting: readonly Waiting[], send: Send): Promise<void> {
  const submissions = waiting.map(({ submission }) => submission);
  try {
    const answers = await send(
      submissions,
      submissions.map(({ content }) => content.buffer as ArrayBuffer),
    );
    for (const [i, { resolve, reject }] of waiting.entries()) {
      const answer = answers[i];
      if (answer === undefined || 'failed' in answer) reject(new WorkerRefusal('not-submitted', answer?.failed ?? 'the worker did not say what became of it'));
      else resolve(answer);
    }
  } catch (error) {
    for (const { reject } of waiting) reject(error instanceof WorkerRefusal ? error : new WorkerRefusal(errorCode(error) ?? 'failed', String(error)));
  }
}

/** A part of a buffer that others use cannot be given away, and would be copied with all that is around it. */
function ownBytes(content: Uint8Array): Uint8Array {
  return content.buffer.byteLength === content.byteLength && content.buffer instanceof ArrayBuffer ? content : new Uint8Array(content);
}
