// A set of texts in shared memory that all threads see at once, as a Bloom filter: "surely not in it" costs a few reads and no lock, "perhaps"
// is looked up by whoever asked. Nothing is ever taken out; a text that was removed costs a look-up until the next start.

const HEADER_INTS = 1;
/** 4 MB: of a million texts one in a thousand others is looked up in vain, and of ten million one in four. */
const BITS = 2 ** 25;
const HASHES = 4;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

export type Sieve = {
  /** False: it was never added. True while the set is still being filled. */
  mayHold(text: string): boolean;
  add(text: string): void;
  /** All that was there at the start is in it. */
  filled(): void;
};

export function createSieve(): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_INTS * 4 + BITS / 8);
}

export function openSieve(memory: SharedArrayBuffer): Sieve {
  const header = new Int32Array(memory, 0, HEADER_INTS);
  const words = new Int32Array(memory, HEADER_INTS * 4);
  return {
    mayHold(text) {
      if (Atomics.load(header, 0) === 0) return true;
      const [first, step] = hashesOf(text);
      for (let i = 0; i < HASHES; i++) {
        const bit = (first + Math.imul(i, step)) & (BITS - 1);
        if ((Atomics.load(words, bit >>> 5) & (1 << (bit & 31))) === 0) return false;
      }
      return true;
    },
    add(text) {
      const [first, step] = hashesOf(text);
      for (let i = 0; i < HASHES; i++) {
        const bit = (first + Math.imul(i, step)) & (BITS - 1);
        Atomics.or(words, bit >>> 5, 1 << (bit & 31));
      }
    },
    filled: () => void Atomics.store(header, 0, 1),
  };
}

/** Two hashes of one pass (FNV-1a, and one of its finishers' kind), from which all the others are made. */
function hashesOf(text: string): readonly [number, number] {
  let hash = FNV_OFFSET;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  const first = mixed(hash);
  // Odd, so that the steps do not meet.
  return [first, mixed(hash ^ 0x9e3779b9) | 1];
}

function mixed(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
