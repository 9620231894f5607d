// The shares of the four ports as charts take them, and what is published about the world, to stand beside this server's own traffic.

import { BASELINES } from '#knowledge/baselines.ts';

export const PORTS = ['587', '465', '25', '2525'] as const;
export type PortName = (typeof PORTS)[number];

export type Share = { readonly label: string; readonly values: Readonly<Record<PortName, number>> };

/** Authenticated submission by port, percent: an industry estimate, one row a year. */
export const SUBMISSION_BY_PORT: readonly Share[] = BASELINES.submissionByPort.years.map(({ year, ...values }) => ({ label: String(year), values }));
