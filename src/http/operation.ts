// One operation of the API, declared once: its place, whom it is open to, what it takes and answers as zod schemas, and what it does. From the
// same declaration come the validation of requests (call.ts), the OpenAPI document (openapi.ts) and its page (reference.ts).

import type { Context } from 'hono';
import type { z } from 'zod';
import type { Env, Identity } from './identity.ts';
import type { Scope } from './scopes.ts';

/** The groups of the reference, in its order, each with what it is about. */
export const TAGS = {
  Messages: 'What is sent, and what became of it.',
  Queue: 'What waits to be delivered, and the verbs of the operator.',
  Credentials: 'Who may submit mail by SMTP.',
  Domains: 'The domains that mail is sent from and received for, with their keys and DNS records.',
  Suppressions: 'Addresses that get no mail, and why.',
  Webhooks: 'Where events are told.',
  Events: 'What happens, as it happens.',
  Statistics: 'Counts over time.',
  Doctor: 'What is wrong with a host or a domain; which port and settings are right.',
  Server: 'Routes, certificates, TLS policies, configuration.',
  Access: 'Tokens, people, and who changed what.',
  Health: 'For load balancers and monitoring.',
} as const;

export type Tag = keyof typeof TAGS;
type Schema = z.ZodType;

/** A body that is no JSON document. */
export type Media = { readonly media: string; readonly doc: string };

export type Call<P, Q, B> = {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly identity: Identity;
  readonly context: Context<Env>;
};

type Given<S> = S extends Schema ? z.output<S> : undefined;
type Answered<A> = A extends Schema ? Frozen<z.output<A>> : Response;

/** What a schema gives, unchangeable at every depth: records are read-only, and what reads them does not mind. */
export type Frozen<T> = T extends readonly (infer E)[] ? readonly Frozen<E>[] : T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

export type OperationSpec<P extends Schema | undefined, Q extends Schema | undefined, B extends Schema | undefined, A extends Schema | Media> = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As OpenAPI writes it: `/v1/domains/{name}`. */
  readonly path: `/${string}`;
  /** A verb and its noun, unique: the name of the method in a generated client, and of the act in the audit log. */
  readonly id: string;
  readonly tag: Tag;
  readonly summary: string;
  readonly description?: string;
  /** What whoever asks needs; `known`: to be anybody; `open`: nothing. */
  readonly scope: Scope | 'known' | 'open';
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** The most that a body may have; 256 KB unless told. */
  readonly bodyBytes?: number | (() => number);
  /** Its bodies may be large: all that are in work at once share a bounded part of the memory. */
  readonly heavy?: true;
  /** Header fields that it reads, for the document. */
  readonly headers?: readonly { readonly name: string; readonly doc: string }[];
  /** Bodies of other media types than JSON, each with its own way; they are read with `readBody` or `context.req.raw.body`. */
  readonly other?: readonly (Media & { readonly run: (call: Call<Given<P>, Given<Q>, undefined>) => Promise<Answered<A>> | Answered<A> })[];
  readonly answer: A;
  readonly status?: 200 | 201 | 202;
  /** The statuses of refusals besides those that follow from the rest (401, 403, 404 of the scope, 413, 415, 422, 429). */
  readonly refusals?: readonly (400 | 401 | 403 | 404 | 409 | 410 | 412 | 422 | 429 | 503)[];
  /** The same answer under another status, which the operation sets. */
  readonly otherwise?: { readonly status: 200 | 202 | 503; readonly description: string };
  readonly example?: { readonly params?: Readonly<Record<string, string>>; readonly query?: Readonly<Record<string, string>>; readonly body?: unknown };
  /** What the audit log says this was done to; false: it is not written there (it changes nothing, or leaves its own trace). */
  readonly audit?: false | ((call: Call<Given<P>, Given<Q>, Given<B>>) => string);
  /** The answer's status may be changed with `context.status`, its header with `context.header`. */
  readonly run: (call: Call<Given<P>, Given<Q>, Given<B>>) => Promise<Answered<A>> | Answered<A>;
};

/** An operation whose types are no longer known: what the app, the document and the tests work with. */
export type Operation = Omit<OperationSpec<Schema, Schema, Schema, Schema | Media>, 'run' | 'audit' | 'other' | 'params' | 'query' | 'body'> & {
  readonly params?: Schema | undefined;
  readonly query?: Schema | undefined;
  readonly body?: Schema | undefined;
  readonly other?: readonly (Media & { readonly run: (call: Call<unknown, unknown, undefined>) => unknown })[];
  readonly audit?: false | ((call: Call<unknown, unknown, unknown>) => string);
  readonly run: (call: Call<unknown, unknown, unknown>) => unknown;
};

export function operation<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
  A extends Schema | Media = Schema,
>(spec: OperationSpec<P, Q, B, A>): Operation {
  return spec as unknown as Operation;
}

export function isMedia(answer: Schema | Media): answer is Media {
  return 'media' in answer;
}
