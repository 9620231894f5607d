// What was said on a client connection, with secrets removed before they are kept.

export type TranscriptEntry = {
  /** Milliseconds since the connection was begun. */
  readonly atMs: number;
  /** `>` we said, `<` they said, `*` something happened (connected, TLS, closed). */
  readonly direction: '>' | '<' | '*';
  readonly text: string;
};

export type Transcript = readonly TranscriptEntry[];

/** How long was waited for the other side in this phase; `waits` times in a row. */
export type StepTime = { readonly step: string; readonly ms: number; readonly waits: number };

const MAX_ENTRIES = 500;
const MAX_TEXT = 1000;
/** What is shorter stands in too many words. */
const SHORTEST_SECRET = 4;

/** Records a conversation, bounded. `live` sees each entry as it is made (`postern send` prints it). */
export class Recorder {
  readonly entries: TranscriptEntry[] = [];
  readonly #steps: { step: string; ms: number; waits: number }[] = [];
  readonly #startMs = performance.now();
  readonly #live: ((entry: TranscriptEntry) => void) | null;
  readonly #secrets: string[] = [];
  /** Entries of the connection itself, before its first message. */
  #opening: number | null = null;

  constructor(live: ((entry: TranscriptEntry) => void) | null = null) {
    this.#live = live;
  }

  /** From here on these are not kept, whoever says them: some servers repeat what they refuse. */
  hide(secrets: readonly string[]): void {
    this.#secrets.push(...secrets.filter((secret) => secret.length >= SHORTEST_SECRET));
  }

  /** The other side was waited for. */
  waited(step: string, ms: number): void {
    const last = this.#steps.at(-1);
    if (last?.step !== step) {
      if (this.#steps.length < MAX_ENTRIES) this.#steps.push({ step, ms, waits: 1 });
      return;
    }
    last.ms += ms;
    last.waits++;
  }

  /** Where the time went, in order; milliseconds to the tenth. */
  get steps(): StepTime[] {
    return this.#steps.map(({ step, ms, waits }) => ({ step, ms: Math.round(ms * 10) / 10, waits }));
  }

  /** A message begins: of those before it nothing is kept. */
  begin(): void {
    this.#opening ??= this.entries.length;
    this.entries.length = Math.min(this.#opening, this.entries.length);
    this.#steps.length = 0;
  }

  add(direction: TranscriptEntry['direction'], text: string): void {
    const shown = withoutSecrets(text, this.#secrets);
    const entry = { atMs: Math.round(performance.now() - this.#startMs), direction, text: shown.slice(0, MAX_TEXT) };
    if (this.entries.length < MAX_ENTRIES) this.entries.push(entry);
    this.#live?.(entry);
  }
}

/** Text with every one of these taken out. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((shown, secret) => shown.replaceAll(secret, '[removed]'), text);
}
