// A queue in memory that takes from the front in constant time: an array and where it begins.

export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Back to the front: the next `shift` returns it. */
  unshift(item: T): void {
    if (this.#first > 0) this.#items[--this.#first] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    if (this.size === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    // Half of it is empty: moved together, which costs each item once.
    if (this.#first > 64 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  peek(): T | undefined {
    return this.#items[this.#first];
  }

  /** What waits, in order; nothing may be taken meanwhile. */
  *[Symbol.iterator](): Iterator<T> {
    for (let at = this.#first; at < this.#items.length; at++) yield this.#items[at] as T;
  }

  /** The first `limit` of those that wait. */
  first(limit: number): readonly T[] {
    return this.#items.slice(this.#first, this.#first + limit) as T[];
  }

  /** Everything that waits, in order; empty afterwards. */
  takeAll(): T[] {
    const all = this.#items.slice(this.#first) as T[];
    this.#items = [];
    this.#first = 0;
    return all;
  }
}
