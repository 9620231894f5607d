// The advisor's question and answer, as the API has them.

import { z } from 'zod';
import type { Advice } from '#advise/advise.ts';
import { SCENARIOS } from '#advise/question.ts';
import type { Scenario } from '#advise/question.ts';

/** Rejects with PosternError for a library or provider that nobody knows, and for a value that cannot stand in a configuration. */
export type AdviceService = (request: AdviceRequest) => Promise<Advice>;

export type AdviceRequest = z.output<typeof ASK>;

const port = z.int().min(1).max(65_535);

export const ASK = z.strictObject({
  scenario: z
    .enum(Object.keys(SCENARIOS) as [Scenario, ...Scenario[]])
    .nullable()
    .default(null)
    .describe(
      `who sends; ${Object.entries(SCENARIOS)
        .map(([name, text]) => `\`${name}\`: ${text}`)
        .join('; ')}`,
    ),
  library: z.string().max(100).nullable().default(null).describe('the library or program that sends'),
  provider: z.string().max(100).nullable().default(null).describe('the mail service it goes through'),
  host: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9._:-]*[a-z0-9])?$/i, 'write it like smtp.example.com')
    .max(253)
    .nullable()
    .default(null)
    .describe('the server that mail is handed to; without one, and without a provider, this server with its own ports'),
  ports: z.array(port).min(1).max(16).nullable().default(null).describe('that it serves'),
  blocked: z.array(port).max(16).default([]).describe('that the network blocks'),
  username: z.string().max(320).nullable().default(null).describe('the login for the snippet'),
  from: z.string().max(320).default('you@example.com'),
  to: z.string().max(320).default('friend@example.net'),
  probe: z.boolean().default(false).describe('look what the network of this server and the host allow; needs the scope `doctor:run`'),
});

const encryption = z.enum(['starttls-required', 'implicit-tls', 'https']);
const snippet = z.string().nullable().describe('a configuration that requires encryption; null where there is none to give');

export const ADVICE = z
  .object({
    port: z.int(),
    encryption,
    why: z.string(),
    alternatives: z.array(z.object({ port: z.int(), encryption, why: z.string(), snippet })),
    snippet,
    scenario: z.enum(['app', 'esp', 'own-server', 'locked-cloud']),
    host: z.string(),
    library: z.object({ id: z.string(), name: z.string(), file: z.string().describe('that the snippet belongs in') }).nullable(),
    provider: z.object({ id: z.string(), name: z.string() }).nullable(),
    listeners: z.array(z.object({ port: z.int(), direction: z.enum(['in', 'out']), use: z.string(), encryption: z.string() })),
    notes: z.array(z.string()),
    evidence: z.array(
      z.object({
        port: z.int(),
        standing: z.enum(['works', 'open', 'unverified', 'unknown', 'no-login', 'wrong-tls', 'server-only', 'blocked', 'silent', 'closed']),
        text: z.string(),
      }),
    ),
    usable: z.boolean().describe('false: something was looked at, and nothing of it can be used'),
  })
  .meta({ id: 'Advice' });

export const LIBRARY = z.object({ id: z.string(), name: z.string(), language: z.string(), aliases: z.array(z.string()) }).meta({ id: 'Library' });
export const PROVIDER = z
  .object({
    id: z.string(),
    name: z.string(),
    host: z.string(),
    ports: z.array(z.object({ port: z.int(), tls: z.enum(['starttls', 'implicit']) })),
    aliases: z.array(z.string()),
  })
  .meta({ id: 'Provider' });
