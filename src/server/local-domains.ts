// Which domains this server receives for: those of [inbound] and those of the directory that were added with --inbound. Answers at
// once, from a set that is read anew when the directory's generation has moved.

import type { DirectoryReader } from '#store/directory.ts';

export type LocalDomains = {
  /** `domain` is canonical. */
  has(domain: string): boolean;
  /** One of them, the first that is configured; null when there is none. */
  first(): string | null;
  /** Looks whether the directory has changed; the new set is there before the next turn of the event loop. */
  refresh(): void;
};

export async function openLocalDomains(parts: {
  readonly directory: DirectoryReader;
  readonly generation: Int32Array;
  readonly configured: () => readonly string[];
}): Promise<LocalDomains> {
  const { directory, generation, configured } = parts;
  let seen = Atomics.load(generation, 0);
  let inbound = await readInbound(directory);
  return {
    has: (domain) => inbound.has(domain) || configured().includes(domain),
    first: () => configured()[0] ?? inbound.values().next().value ?? null,
    refresh() {
      const now = Atomics.load(generation, 0);
      if (now === seen) return;
      seen = now;
      void readInbound(directory).then(
        (domains) => (inbound = domains),
        () => (seen = now - 1),
      );
    },
  };
}

async function readInbound(directory: DirectoryReader): Promise<ReadonlySet<string>> {
  return new Set((await directory.domains()).filter((domain) => domain.inbound).map((domain) => domain.name));
}
