// The OpenAPI 3.1 document, made from the operations: their schemas are those that requests are checked with. Pure.

import { z } from 'zod';
import { isMedia, TAGS } from './operation.ts';
import type { Operation } from './operation.ts';
import { PROBLEM } from './problem.ts';

/** As far as the renderer and the tests look into it. */
export type Json = { readonly [key: string]: unknown };
export type Parameter = {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Json;
  readonly example?: string;
};
export type Content = Readonly<Record<string, { readonly schema: Json; readonly example?: unknown }>>;
type RequestBody = { readonly required: boolean; readonly content: Content };
export type DocumentedOperation = {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly security: readonly Json[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: RequestBody;
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content?: Content } | { readonly $ref: string }>>;
};
export type OpenApi = {
  readonly openapi: '3.1.1';
  readonly info: Json;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
  readonly components: { readonly schemas: Record<string, Json>; readonly responses: Json; readonly securitySchemes: Json };
};

const REFUSALS: Readonly<Record<number, string>> = {
  400: 'The request is malformed.',
  401: 'It is not known who asks.',
  403: 'Whoever asks may not do this.',
  404: 'There is no such thing.',
  409: 'It does not fit what is there.',
  410: 'It is gone.',
  412: 'What was told before is no longer so.',
  413: 'The body is too large.',
  415: 'The body is of a media type that is not taken here.',
  422: 'A value is not allowed; the cause names the field.',
  429: 'Too often; the header Retry-After says how many seconds to wait.',
  500: 'A fault of the server; its log has it.',
  503: 'Not now; try again.',
};

const DESCRIPTION = `The API of a Postern server: what is sent, what waits, what became of it, and what the server is told to do.

Over TCP a request says who asks: \`Authorization: Bearer pst_...\`. Tokens are made with \`postern token add NAME --scope SCOPE\`, or by \`POST /v1/tokens\`; each
operation names the scope that it needs. On the management socket nothing is needed: whoever may open it may do everything.

Points in time are ISO 8601 in UTC, spans are milliseconds. Lists are bounded; \`next\` is what to ask the following page with, and null at the end. A refusal is
\`application/problem+json\` with a stable \`code\`, the \`cause\` and the \`fix\`. New fields may come to answers: ignore those that you do not know.`;

export function describeApi(operations: readonly Operation[], about: { readonly version: string }): OpenApi {
  const schemas: Record<string, Json> = {};
  const paths: Record<string, Record<string, DocumentedOperation>> = {};
  schemaOf(PROBLEM, 'output', schemas);
  for (const operation of operations) (paths[operation.path] ??= {})[operation.method.toLowerCase()] = described(operation, schemas);
  const used = new Set(operations.map((operation) => operation.tag));
  const problem = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return {
    openapi: '3.1.1',
    info: { title: 'Postern', version: about.version, summary: 'SMTP submission and relay', description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    tags: Object.entries(TAGS).flatMap(([name, description]) => (used.has(name as never) ? [{ name, description }] : [])),
    paths,
    components: {
      schemas,
      responses: Object.fromEntries(Object.entries(REFUSALS).map(([status, description]) => [`Refused${status}`, { description, content: problem }])),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'pst_...', description: 'A token of this server.' } },
    },
  };
}

function described(operation: Operation, schemas: Record<string, Json>): DocumentedOperation {
  const { scope, params, query, otherwise } = operation;
  const needs = scope === 'open' ? 'Open to everyone.' : scope === 'known' ? 'Needs any token.' : `Needs the scope \`${scope}\`.`;
  const parameters = [
    ...parametersOf(params, 'path', operation.example?.params, schemas),
    ...parametersOf(query, 'query', operation.example?.query, schemas),
    ...headersOf(operation),
  ];
  const requestBody = bodyOf(operation, schemas);
  return {
    operationId: operation.id,
    tags: [operation.tag],
    summary: operation.summary,
    description: [operation.description, needs].filter((text) => text !== undefined).join('\n\n'),
    security: scope === 'open' ? [] : [{ token: [] }],
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(requestBody === null ? {} : { requestBody }),
    responses: {
      [operation.status ?? 200]: { description: 'Done.', content: answerOf(operation, schemas) },
      ...(otherwise === undefined ? {} : { [otherwise.status]: { description: otherwise.description, content: answerOf(operation, schemas) } }),
      ...Object.fromEntries(refusalsOf(operation).map((status) => [status, { $ref: `#/components/responses/Refused${status}` }])),
    },
  };
}

function headersOf({ headers = [] }: Operation): Parameter[] {
  return headers.map(({ name, doc }) => ({ name, in: 'header', required: false, description: doc, schema: { type: 'string' } }));
}

/** The statuses that an operation may refuse with, besides its answer. */
export function refusalsOf(operation: Operation): readonly number[] {
  const { scope, params, query, body, other } = operation;
  const statuses = new Set<number>(operation.refusals ?? []);
  // Also where any token will do: a session's changes come from a page of this server only.
  if (scope !== 'open') statuses.add(401).add(403).add(429);
  if (params !== undefined || query !== undefined || body !== undefined) statuses.add(422);
  if (body !== undefined) statuses.add(400);
  if (body !== undefined || other !== undefined) statuses.add(413).add(415);
  statuses.add(500);
  return [...statuses].toSorted((a, b) => a - b);
}

function parametersOf(of: z.ZodType | undefined, place: 'path' | 'query', examples: Readonly<Record<string, string>> | undefined, schemas: Record<string, Json>): Parameter[] {
  if (of === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(of, 'input', schemas) as { properties?: Record<string, Json>; required?: readonly string[] };
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property;
    const example = examples?.[name];
    return {
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      ...(typeof description === 'string' ? { description } : {}),
      schema,
      ...(example === undefined ? {} : { example }),
    };
  });
}

function bodyOf({ body, other = [], example }: Operation, schemas: Record<string, Json>): RequestBody | null {
  if (body === undefined && other.length === 0) return null;
  const schema = body === undefined ? null : schemaOf(body, 'input', schemas);
  const json = schema === null ? {} : { 'application/json': { schema, ...(example?.body === undefined ? {} : { example: example.body }) } };
  const others = Object.fromEntries(other.map(({ media, doc }) => [media, { schema: { description: doc } }]));
  // No body counts as {}: what has only fields that may be left out may be left out itself.
  return { required: body === undefined || !body.safeParse({}).success, content: { ...json, ...others } };
}

function answerOf({ answer }: Operation, schemas: Record<string, Json>): Content {
  if (isMedia(answer)) return { [answer.media]: { schema: { description: answer.doc } } };
  return { 'application/json': { schema: schemaOf(answer, 'output', schemas) } };
}

/** The JSON Schema; what has an id goes to `schemas`, once. */
function schemaOf(of: z.ZodType, io: 'input' | 'output', schemas: Record<string, Json>): Json {
  const {
    $schema: _dialect,
    $defs = {},
    ...schema
  } = z.toJSONSchema(of, { io, unrepresentable: 'any', override: ({ jsonSchema }) => tidy(jsonSchema) }) as {
    $schema?: string;
    $defs?: Record<string, Json>;
  };
  const named = (one: Json): Json => JSON.parse(JSON.stringify(one).replaceAll('"#/$defs/', '"#/components/schemas/')) as Json;
  for (const [name, definition] of Object.entries($defs)) add(schemas, name, named(definition));
  const { id, ...rest } = named(schema);
  if (typeof id !== 'string') return rest;
  add(schemas, id, rest);
  return { $ref: `#/components/schemas/${id}` };
}

function add(schemas: Record<string, Json>, name: string, definition: Json): void {
  const { id: _id, ...rest } = definition;
  const before = schemas[name];
  if (before !== undefined && JSON.stringify(before) !== JSON.stringify(rest)) throw new TypeError(`two different schemas are called ${name}`);
  schemas[name] = rest;
}

/** Times are told by their format; the pattern that comes with it fills half a page. Answers may gain fields. */
function tidy(schema: object): void {
  const changing = schema as Record<string, unknown>;
  if (changing['format'] === 'date-time') delete changing['pattern'];
  if (changing['maximum'] === Number.MAX_SAFE_INTEGER) delete changing['maximum'];
  if (changing['minimum'] === Number.MIN_SAFE_INTEGER) delete changing['minimum'];
}
