// One message on its way through a session: its size so far, the refusal it has met, and the handing of its content to its sink. Knows no
// commands and no sockets.

import { guarded, isPromise } from '#base/promise.ts';
import type { MaybePromise } from '#base/promise.ts';
import { ADDED_LINE_END } from './framing.ts';
import type { MessageSink } from './policy.ts';
import type { Reply } from './reply.ts';
import { REPLIES } from './reply.ts';

/** After a refusal the rest is swallowed and `refusal` answered at its end. `sink` is null once nothing more may come to it. */
export type Incoming = {
  sink: MessageSink | null;
  sizeBytes: number;
  refusal: Reply | null;
  readonly lines: { pendingCr: boolean; lineStart: boolean };
};

/** What a client may send over twice the limit before it is cut off. */
const SLACK_BYTES = 64 * 1024;

export function openIncoming(sink: MessageSink): Incoming {
  return { sink, sizeBytes: 0, refusal: null, lines: newLines() };
}

/** A message that is refused before it begins. */
export function refusedIncoming(refusal: Reply): Incoming {
  return { sink: null, sizeBytes: 0, refusal, lines: newLines() };
}

export function newLines(): Incoming['lines'] {
  return { pendingCr: false, lineStart: true };
}

/** What was taken of the message is given up, once. */
export function dropIncoming(incoming: Incoming): void {
  const { sink } = incoming;
  incoming.sink = null;
  sink?.abort();
}

/** Refused for good: what was taken is given up now, not when the client comes to the end. */
function refuse(incoming: Incoming, refusal: Reply): void {
  incoming.refusal ??= refusal;
  dropIncoming(incoming);
}

/**
 * Hands chunks to the sink one after the other, waiting where it asks to. False: the client has sent so much more than it may that the rest is
 * not worth reading. A fault of the sink refuses the message.
 */
export function keepContent(
  incoming: Incoming,
  chunks: readonly Buffer[],
  options: { readonly limitBytes: number; readonly fault: (error: unknown) => Reply },
): MaybePromise<boolean> {
  const { limitBytes, fault } = options;
  for (const [i, chunk] of chunks.entries()) {
    if (chunk !== ADDED_LINE_END) incoming.sizeBytes += chunk.length;
    if (incoming.sizeBytes > limitBytes) {
      refuse(incoming, REPLIES.tooBig(limitBytes));
      // It is read to its end so that the reply is seen, but not for ever.
      if (incoming.sizeBytes > limitBytes * 2 + SLACK_BYTES) return false;
    }
    const { sink } = incoming;
    if (sink === null) continue;
    const taken = guarded(() => sink.write(chunk));
    if (isPromise(taken)) {
      return taken.catch(fault).then((refusal) => {
        if (refusal !== undefined) refuse(incoming, refusal);
        return keepContent(incoming, chunks.slice(i + 1), options);
      });
    }
    if (taken !== undefined) refuse(incoming, taken);
  }
  return true;
}
