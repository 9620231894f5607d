// Memory that a worker and the store thread share, in places of one size: bodies are written into a place, the message that speaks of them
// names it, and it is free again once the store has said that it is done with that message. Nothing is allocated for a batch, or handed over.

const PLACES = 8;
/** A batch of many small messages. What is larger travels in a buffer of its own. */
const PLACE_BYTES = 128 * 1024;

/** The worker's side: which places are free. */
export class Arena {
  readonly shared = new SharedArrayBuffer(PLACES * PLACE_BYTES);
  readonly #free = Array.from({ length: PLACES }, (_, i) => i);

  /** A place for so many bytes, or null when there is none. */
  take(sizeBytes: number): number | null {
    return sizeBytes > PLACE_BYTES ? null : (this.#free.pop() ?? null);
  }

  giveBack(places: readonly number[]): void {
    this.#free.push(...places);
  }
}

/** The bytes of a place, of whichever side. */
export function placeBytes(shared: SharedArrayBuffer, place: number): Uint8Array {
  return new Uint8Array(shared, place * PLACE_BYTES, PLACE_BYTES);
}
