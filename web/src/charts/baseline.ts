// What is published about the world, to stand beside this server's own traffic.

export const PORTS = ['587', '465', '25', '2525'] as const;
export type PortName = (typeof PORTS)[number];

export type Share = { readonly label: string; readonly values: Readonly<Record<PortName, number>> };

const row = (year: number, p587: number, p465: number, p25: number, p2525: number): Share => ({
  label: String(year),
  values: { '587': p587, '465': p465, '25': p25, '2525': p2525 },
});

/** Authenticated submission by port, percent: an industry estimate, one row a year. */
export const SUBMISSION_BY_PORT: readonly Share[] = [
  row(2015, 45, 18, 28, 9),
  row(2016, 48, 16, 26, 10),
  row(2017, 50, 14, 24, 12),
  row(2018, 53, 13, 22, 12),
  row(2019, 55, 15, 19, 11),
  row(2020, 57, 18, 16, 9),
  row(2021, 58, 22, 12, 8),
  row(2022, 59, 26, 9, 6),
  row(2023, 60, 29, 7, 4),
  row(2024, 61, 32, 5, 2),
  row(2025, 62, 34, 3, 1),
];
