// How a sink speaks: at once, or late, byte by byte, with the wrong line ends. What is to happen after something was said waits for it. Knows
// nothing of what is said.

export type Manner = { readonly delayMs: number; readonly trickleMs: number; readonly lfOnly: boolean; readonly bareCodes: boolean };

export class Voice {
  readonly #manner: Manner;
  readonly #put: (text: string | Buffer) => void;
  /** Things to say and do, in order; null while nothing is under way. */
  #queue: Promise<void> | null = null;
  #silenced = false;

  constructor(manner: Manner, put: (text: string | Buffer) => void) {
    this.#manner = manner;
    this.#put = put;
  }

  say(text: string): void {
    const { delayMs, trickleMs, lfOnly, bareCodes } = this.#manner;
    const plain = bareCodes ? text.replace(/^([245]\d\d[ -])[245]\.\d{1,3}\.\d{1,3} /gm, '$1') : text;
    const shaped = lfOnly ? plain.replaceAll('\r\n', '\n') : plain;
    if (delayMs === 0 && trickleMs === 0) return this.after(() => this.#put(shaped));
    this.#enqueue(async () => {
      if (delayMs > 0) await pause(delayMs);
      if (trickleMs === 0) return this.#put(shaped);
      for (const byte of Buffer.from(shaped)) {
        if (this.#silenced) return;
        this.#put(Buffer.from([byte]));
        await pause(trickleMs);
      }
    });
  }

  /** Runs once everything before it is said. */
  after(run: () => void): void {
    if (this.#queue === null) run();
    else this.#enqueue(async () => run());
  }

  /** The connection is gone: nothing more is said. */
  silence(): void {
    this.#silenced = true;
  }

  #enqueue(run: () => Promise<void>): void {
    const mine = (this.#queue ?? Promise.resolve()).then(() => (this.#silenced ? undefined : run()));
    this.#queue = mine;
    void mine.finally(() => {
      if (this.#queue === mine) this.#queue = null;
    });
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
