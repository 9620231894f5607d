// /v1/server: what this server is and where it listens, for clients that are to be pointed at it.

import { z } from 'zod';
import { time } from '#http/fields.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { toWire } from '#http/wire.ts';

const SERVER = z
  .object({
    version: z.string(),
    hostname: z.string().describe('what it calls itself, and clients connect to'),
    startedAt: time,
    listeners: z.array(z.object({ name: z.string(), profile: z.string(), address: z.string(), port: z.int(), tls: z.enum(['none', 'starttls', 'implicit']) })),
  })
  .meta({ id: 'Server' });

export type ServerInfo = {
  readonly version: string;
  readonly hostname: string;
  readonly startedAtMs: number;
  readonly listeners: readonly {
    readonly name: string;
    readonly profile: string;
    readonly address: string;
    readonly port: number;
    readonly tls: 'none' | 'starttls' | 'implicit';
  }[];
};

export function serverOperations(info: () => ServerInfo): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/server',
      id: 'getServer',
      tag: 'Server',
      summary: 'What this server is, and where it listens',
      scope: 'known',
      answer: SERVER,
      run: () => toWire(info()),
    }),
  ];
}
