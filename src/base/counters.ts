// Limits that hold across threads: counts (connections per address, per lane) and token buckets (rates) in one block of shared
// memory. A fixed hash table of buckets of eight slots, so memory is bounded whatever the internet sends; a slot without a
// count may be reused. Each thread counts in a column of its own, so that what a dead thread held can be given back.

const WAYS = 8;
const HEADER_BYTES = 16;
const SLOT_BYTES = 32;
/** A thread that dies inside a bucket must not stop the others: after so many turns the lock is taken over. */
const SPINS = 1_000_000;

export type Rate = { readonly perMs: number; readonly burst: number; readonly nowMs: number; readonly cost: number };

export type Counters = {
  /** Adds to this thread's share of `key`, never below zero; returns the sum over all threads. */
  add(key: string, delta: number): number;
  /** The sum over all threads. */
  get(key: string): number;
  /** Takes `cost` tokens from the bucket `key` if it has them; false, and nothing taken, if not. */
  take(key: string, rate: Rate): boolean;
  /** Zeroes what a thread that is gone had counted. */
  forget(thread: number): void;
};

/** Shared memory for `slots` keys counted by at most `threads` threads. The bucket count is a power of two. */
export function createCounters(options: { slots?: number; threads: number }): SharedArrayBuffer {
  const buckets = 2 ** Math.ceil(Math.log2((options.slots ?? 16_384) / WAYS));
  const columns = Math.ceil(options.threads / 2) * 2;
  const bytes = HEADER_BYTES + buckets * 8 + buckets * WAYS * (SLOT_BYTES + columns * 4);
  const memory = new SharedArrayBuffer(Math.ceil(bytes / 8) * 8);
  const header = new Int32Array(memory, 0, 2);
  header[0] = buckets;
  header[1] = columns;
  return memory;
}

/** Opens the shared memory as thread number `thread` (from 0). */
export function openCounters(memory: SharedArrayBuffer, thread: number): Counters {
  return new SharedCounters(memory, thread);
}

class SharedCounters implements Counters {
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;
  readonly #buckets: number;
  readonly #columns: number;
  readonly #thread: number;
  readonly #slotBytes: number;
  readonly #firstSlot: number;

  constructor(memory: SharedArrayBuffer, thread: number) {
    this.#ints = new Int32Array(memory);
    this.#floats = new Float64Array(memory);
    this.#buckets = this.#ints[0] as number;
    this.#columns = this.#ints[1] as number;
    if (thread < 0 || thread >= this.#columns) throw new RangeError(`thread ${thread} of ${this.#columns}`);
    this.#thread = thread;
    this.#slotBytes = SLOT_BYTES + this.#columns * 4;
    this.#firstSlot = HEADER_BYTES + this.#buckets * 8;
  }

  add(key: string, delta: number): number {
    return this.#locked(key, (slot) => {
      const column = slot / 4 + SLOT_BYTES / 4 + this.#thread;
      this.#ints[column] = Math.max(0, (this.#ints[column] as number) + delta);
      return this.#sum(slot);
    });
  }

  get(key: string): number {
    return this.#locked(key, (slot) => this.#sum(slot));
  }

  take(key: string, rate: Rate): boolean {
    return this.#locked(key, (slot) => {
      const tokens = slot / 8 + 2;
      const last = slot / 8 + 3;
      const lastMs = this.#floats[last] as number;
      const elapsedMs = Math.max(0, rate.nowMs - lastMs);
      const held = lastMs === 0 ? rate.burst : Math.min(rate.burst, (this.#floats[tokens] as number) + elapsedMs * rate.perMs);
      const enough = held >= rate.cost;
      this.#floats[tokens] = enough ? held - rate.cost : held;
      this.#floats[last] = rate.nowMs;
      return enough;
    });
  }

  forget(thread: number): void {
    for (let i = 0; i < this.#buckets * WAYS; i++) {
      this.#ints[(this.#firstSlot + i * this.#slotBytes + SLOT_BYTES) / 4 + thread] = 0;
    }
  }

  #sum(slot: number): number {
    const first = (slot + SLOT_BYTES) / 4;
    let sum = 0;
    for (let i = 0; i < this.#columns; i++) sum += this.#ints[first + i] as number;
    return sum;
  }

  #locked<T>(key: string, use: (slot: number) => T): T {
    const [a, b] = hash(key);
    const bucket = (a >>> 0) & (this.#buckets - 1);
    const lock = (HEADER_BYTES + bucket * 8) / 4;
    let spins = 0;
    while (Atomics.compareExchange(this.#ints, lock, 0, 1) !== 0) if (++spins > SPINS) break;
    try {
      return use(this.#slot(bucket, a, b));
    } finally {
      Atomics.store(this.#ints, lock, 0);
    }
  }

  /** The slot of this key: its own, else a free one, else the least recently used one without a count. */
  #slot(bucket: number, a: number, b: number): number {
    let victim = -1;
    let victimUsedMs = Infinity;
    const first = this.#firstSlot + bucket * WAYS * this.#slotBytes;
    for (let way = 0; way < WAYS; way++) {
      const slot = first + way * this.#slotBytes;
      const at = slot / 4;
      if (this.#ints[at] === a && this.#ints[at + 1] === b) return slot;
      if (this.#sum(slot) > 0) continue;
      const usedMs = this.#floats[slot / 8 + 3] as number;
      if (usedMs < victimUsedMs) {
        victim = slot;
        victimUsedMs = usedMs;
      }
    }
    // All eight hold counts: share the first one. The limit is then too strict for two keys, never too loose.
    if (victim === -1) return first;
    this.#ints[victim / 4] = a;
    this.#ints[victim / 4 + 1] = b;
    this.#floats[victim / 8 + 2] = 0;
    this.#floats[victim / 8 + 3] = 0;
    return victim;
  }
}

/** Two 32-bit hashes of the key (FNV-1a and a multiplicative one); never both zero, which marks a free slot. */
function hash(key: string): [number, number] {
  let a = 0x811c9dc5;
  let b = 0x9e3779b9;
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13);
  }
  a ^= a >>> 15;
  return [a | 0, b | 1];
}
