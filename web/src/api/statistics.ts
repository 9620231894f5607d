// Counts over time: the spans that people choose from, and how what is shown of them is kept fresh.

export const SPANS = [
  ['1h', 'the last hour'],
  ['24h', '24 hours'],
  ['7d', '7 days'],
  ['30d', '30 days'],
] as const;

/** The counts of before stay until those of another span are here. */
export const COUNTING = { everyMs: 30_000, keep: true } as const;
