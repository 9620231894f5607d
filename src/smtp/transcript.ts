// What was said on a client connection, with secrets removed before they are kept.

export type TranscriptEntry = {
  /** Milliseconds since the connection was begun. */
  readonly atMs: number;
  /** `>` we said, `<` they said, `*` something happened (connected, TLS, closed). */
  readonly direction: '>' | '<' | '*';
  readonly text: string;
};

export type Transcript = readonly TranscriptEntry[];

const MAX_ENTRIES = 500;
const MAX_TEXT = 1000;

/** Records a conversation, bounded. `live` sees each entry as it is made (`postern send` prints it). */
export class Recorder {
  readonly entries: TranscriptEntry[] = [];
  readonly #startMs = performance.now();
  readonly #live: ((entry: TranscriptEntry) => void) | null;

  constructor(live: ((entry: TranscriptEntry) => void) | null = null) {
    this.#live = live;
  }

  add(direction: TranscriptEntry['direction'], text: string): void {
    const entry = { atMs: Math.round(performance.now() - this.#startMs), direction, text: text.slice(0, MAX_TEXT) };
    if (this.entries.length < MAX_ENTRIES) this.entries.push(entry);
    this.#live?.(entry);
  }
}
