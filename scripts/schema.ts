// web/src/api/schema.ts: the dashboard's types of all that the API takes and answers, made from the OpenAPI document, so that the two cannot differ.
// Knows the JSON Schema that this document uses, and refuses what it does not know rather than guess.

import { readFileSync } from 'node:fs';
import { format } from 'oxfmt';
import type { FormatConfig } from 'oxfmt';
import { describeApi } from '#http/openapi.ts';
import type { Content, DocumentedOperation, Json } from '#http/openapi.ts';
import { operationsOf } from '#http/server.ts';
import type { AppParts } from '#http/server.ts';

const HEAD = `// What the API takes and answers: its schemas by name, then its requests, each with what stands in the path, the query, the body and the answer (or
// the media type of one that is no JSON). Made from the OpenAPI document by "npm run docs"; it is changed where the operations are (src/http/).
`;

/** What says more of a value than its type can. */
const BESIDE_THE_TYPE = /^(?:description|default|format|pattern|propertyNames|(?:min|max)(?:imum|Length|Items))$/;

/** The file's text, as the formatter leaves it. */
export async function dashboardSchema(): Promise<string> {
  // No operation is run: only what is declared is looked at.
  const { paths, components } = describeApi(operationsOf({ directory: {} } as unknown as AppParts), { version: '' });
  const requests = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => `/** ${operation.summary}. */\nreadonly '${method.toUpperCase()} ${path}': ${requestOf(operation)};`),
  );
  const schemas = Object.entries(components.schemas).map(([name, schema]) => `export type ${name} = ${typeOf(schema)};`);
  const text = `${HEAD}\n${schemas.join('\n\n')}\n\nexport type Requests = {\n${requests.join('\n')}\n};\n`;
  const config = JSON.parse(readFileSync(new URL('../.oxfmtrc.json', import.meta.url), 'utf8')) as FormatConfig;
  const { code, errors } = await format('schema.ts', text, config);
  if (errors.length > 0) throw new Error(`web/src/api/schema.ts cannot be formatted: ${JSON.stringify(errors)}`);
  return code;
}

function requestOf({ parameters = [], requestBody, responses }: DocumentedOperation): string {
  const [path, query] = (['path', 'query'] as const).map((place) =>
    parameters.filter((one) => one.in === place).map(({ name, required, schema }) => fieldOf(name, typeOf(schema), required)),
  );
  const body = requestBody?.content['application/json'];
  const done = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1];
  return record([
    ...(path?.length ? [fieldOf('path', record(path))] : []),
    ...(query?.length ? [fieldOf('query', record(query))] : []),
    ...(body === undefined ? [] : [fieldOf('body', typeOf(body.schema), requestBody?.required)]),
    ...(done !== undefined && 'content' in done ? [answerOf(done.content ?? {})] : []),
  ]);
}

function answerOf(content: Content): string {
  const json = content['application/json'];
  return json === undefined ? fieldOf('media', literal(Object.keys(content)[0])) : fieldOf('answer', typeOf(json.schema));
}

/** The type of what a schema lets through. */
function typeOf(schema: Json): string {
  const { $ref, const: only, enum: some, anyOf, oneOf, type, properties, required, additionalProperties, items, ...rest } = schema;
  const unknown = Object.keys(rest).find((keyword) => !BESIDE_THE_TYPE.test(keyword));
  if (unknown !== undefined) throw new TypeError(`scripts/schema.ts does not know "${unknown}" of ${JSON.stringify(schema)}`);
  if (typeof $ref === 'string') return $ref.replace('#/components/schemas/', '');
  if (only !== undefined) return literal(only);
  if (Array.isArray(some)) return union(some.map(literal));
  const choices = anyOf ?? oneOf;
  if (Array.isArray(choices)) return union(choices.map((choice) => typeOf(choice as Json)));
  if (Array.isArray(type)) return union(type.map((one: unknown) => typeOf({ ...schema, type: one })));
  switch (type) {
    case undefined:
      return 'unknown';
    case 'string':
    case 'boolean':
    case 'null':
      return type;
    case 'integer':
    case 'number':
      return 'number';
    case 'array':
      return `readonly (${typeOf((items ?? {}) as Json)})[]`;
    case 'object':
      return objectOf((properties ?? {}) as Record<string, Json>, (required ?? []) as readonly string[], additionalProperties);
    default:
      throw new TypeError(`scripts/schema.ts does not know the type ${JSON.stringify(type)}`);
  }
}

/** Fields by name, or anything by any name; the document has no object that is both. */
function objectOf(properties: Record<string, Json>, required: readonly string[], others: unknown): string {
  const fields = Object.entries(properties).map(([name, schema]) => fieldOf(name, typeOf(schema), required.includes(name)));
  if (typeof others !== 'object' || others === null) return record(fields);
  if (fields.length > 0) throw new TypeError(`scripts/schema.ts does not know objects with named and other fields: ${fields.join(' ')}`);
  return `Readonly<Record<string, ${typeOf(others as Json)}>>`;
}

function fieldOf(name: string, type: string, required = true): string {
  return `readonly ${/^[a-z_$][\w$]*$/i.test(name) ? name : literal(name)}${required ? '' : '?'}: ${type};`;
}

function record(fields: readonly string[]): string {
  return `{ ${fields.join(' ')} }`;
}

/** Beside any text, no certain one says anything. */
function union(types: readonly string[]): string {
  return [...new Set(types)].filter((type) => !type.startsWith('"') || !types.includes('string')).join(' | ');
}

function literal(value: unknown): string {
  return JSON.stringify(value);
}
