// The conversations of attempts on their way to where they are kept: cut to a size, gathered, handed on twice a second. Under load only so many
// deliveries a second are kept, and then those that went wrong; delivery itself never waits for any of it.

import type { Clock } from '#base/clock.ts';
import type { AttemptTranscript } from '#store/transcripts.ts';
import type { Transcript } from '#smtp/transcript.ts';
import type { Tried } from './connector.ts';
import type { Verdict } from './settle.ts';

export type TranscriptLog = {
  /** Of a message's verdicts, from one connection. */
  attempted(
    messageId: string,
    verdicts: readonly Verdict[],
    on: { readonly host: string; readonly address: string | null; readonly port: number | null; readonly said: Transcript },
  ): void;
  /** Of connections that did not come about. */
  tried(messageId: string, verdicts: readonly Verdict[], tried: readonly Tried[]): void;
  /** Hands on what is there, and stops. */
  close(): void;
};

const FLUSH_MS = 500;
/** In one flush, of one worker. */
const MOST_DELIVERED = 50;
const MOST = 250;
/** Lines of one conversation; one with more recipients than that loses its middle. */
const HEAD = 60;
const TAIL = 60;

export const NO_TRANSCRIPTS: TranscriptLog = { attempted() {}, tried() {}, close() {} };

/** `keep` must not throw. */
export function openTranscriptLog(parts: { readonly clock: Clock; readonly keep: (attempts: readonly AttemptTranscript[]) => void }): TranscriptLog {
  let gathered: AttemptTranscript[] = [];
  let delivered = 0;
  let cancel: (() => void) | null = null;
  const flush = (): void => {
    cancel?.();
    cancel = null;
    const attempts = gathered;
    gathered = [];
    delivered = 0;
    if (attempts.length > 0) parts.keep(attempts);
  };
  const add = (attempt: AttemptTranscript): void => {
    gathered.push(attempt);
    cancel ??= parts.clock.after(FLUSH_MS, flush);
  };
  return {
    attempted(messageId, verdicts, { host, address, port, said }) {
      if (said.length === 0 || verdicts.length === 0 || gathered.length >= MOST) return;
      const good = verdicts.every(({ outcome }) => outcome.verdict === 'delivered');
      if (good && ++delivered > MOST_DELIVERED) return;
      const entries = cut(said);
      for (const [startedAtMs, recipients] of byBegin(verdicts)) {
        add({ messageId, startedAtMs, recipients, remoteHost: host, remoteAddress: address, remotePort: port, entries });
      }
    },
    tried(messageId, verdicts, all) {
      const [begin] = byBegin(verdicts);
      if (begin === undefined) return;
      const [startedAtMs, recipients] = begin;
      for (const { host, address, port, said } of all) {
        if (said === undefined || said.length === 0 || gathered.length >= MOST) continue;
        add({ messageId, startedAtMs, recipients, remoteHost: host, remoteAddress: address, remotePort: port, entries: cut(said) });
      }
    },
    close: flush,
  };
}

/** Recipients with outcomes of one transaction. */
function byBegin(verdicts: readonly Verdict[]): Map<number, number[]> {
  const found = new Map<number, number[]>();
  for (const { recipient, outcome } of verdicts) {
    const known = found.get(outcome.startedAtMs);
    if (known === undefined) found.set(outcome.startedAtMs, [recipient.n]);
    else known.push(recipient.n);
  }
  return found;
}

/** A copy: the connection goes on with its own. */
function cut(said: Transcript): Transcript {
  if (said.length <= HEAD + TAIL) return [...said];
  const left = said.length - HEAD - TAIL;
  return [...said.slice(0, HEAD), { atMs: said[HEAD]?.atMs ?? 0, direction: '*', text: `${left} lines are left out here` }, ...said.slice(-TAIL)];
}
