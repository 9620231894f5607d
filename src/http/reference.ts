// The reference at /docs: the OpenAPI document as one page. No script, no request to anywhere else; it works under the strictest policy.

import { Hono } from 'hono';
import type { Env } from './identity.ts';
import type { Content, DocumentedOperation, Json, OpenApi } from './openapi.ts';
import { STYLE } from './reference-style.ts';

const POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** `/openapi.json`, `/docs` and its style. Open to everyone: they tell what the program can do, nothing of this server. */
export function referenceRoutes(document: () => OpenApi): Hono<Env> {
  const app = new Hono<Env>();
  let page: string | undefined;
  app.get('/openapi.json', (context) => {
    context.header('cache-control', 'no-cache');
    return context.json(document());
  });
  app.get('/docs', (context) => {
    context.header('content-security-policy', POLICY);
    context.header('cache-control', 'no-cache');
    return context.html((page ??= renderReference(document())));
  });
  app.get('/docs/reference.css', (context) => context.body(STYLE, 200, { 'content-type': 'text/css; charset=utf-8', 'cache-control': 'no-cache' }));
  return app;
}

export function renderReference(document: OpenApi): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })));
  const groups = document.tags.map((tag) => ({ tag, of: operations.filter(({ operation }) => operation.tags.includes(tag.name)) }));
  const { title, version, description } = document.info as { title: string; version: string; description: string };
  const contents = groups.map(
    ({ tag, of }) =>
      `<li><a href="#${slug(tag.name)}">${escape(tag.name)}</a><ul>${of.map(({ operation }) => `<li><a href="#${operation.operationId}">${escape(operation.summary)}</a></li>`).join('')}</ul></li>`,
  );
  const sections = groups.map(
    ({ tag, of }) =>
      `<section aria-labelledby="${slug(tag.name)}"><h2 id="${slug(tag.name)}">${escape(tag.name)}</h2><p>${escape(tag.description)}</p>${of.map(article).join('')}</section>`,
  );
  const schemas = Object.entries(document.components.schemas).map(
    ([name, schema]) =>
      `<article><h3 id="schema-${name}">${escape(name)}</h3>${typeof schema['description'] === 'string' ? text(schema['description']) : ''}${shape(schema)}</article>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escape(title)} API</title><link rel="stylesheet" href="/docs/reference.css"></head>
<body>
<a class="skip" href="#main">To the content</a>
<nav aria-label="Operations"><p><strong>${escape(title)} API</strong> ${escape(version)}</p><p><a href="/openapi.json">openapi.json</a></p><ul>${contents.join('')}<li><a href="#schemas">Schemas</a></li></ul></nav>
<main id="main"><h1>${escape(title)} API</h1>${text(description)}${sections.join('')}<section aria-labelledby="schemas"><h2 id="schemas">Schemas</h2>${schemas.join('')}</section></main>
</body>
</html>
`;
}

function article({ path, method, operation }: { path: string; method: string; operation: DocumentedOperation }): string {
  const parameters = operation.parameters ?? [];
  const rows = parameters.map(
    ({ name, in: place, required, schema, description }) =>
      `<tr><th scope="row"><code>${escape(name)}</code></th><td>${place}${required ? ', needed' : ''}</td><td>${kind(schema)}${description === undefined ? '' : `<br>${escape(description)}`}</td></tr>`,
  );
  const refusals = Object.keys(operation.responses).filter((status) => Number(status) >= 400);
  const answers = Object.entries(operation.responses).flatMap(([status, response]) =>
    'content' in response && response.content !== undefined ? [`<h4>Answer ${status}</h4>${contents(response.content)}`] : [],
  );
  return `<article><h3 id="${operation.operationId}">${escape(operation.summary)}</h3>
<p class="call"><span class="${method}">${method.toUpperCase()}</span> <code>${escape(path)}</code></p>${text(operation.description)}
${rows.length === 0 ? '' : `<h4>Parameters</h4><table>${rows.join('')}</table>`}
${operation.requestBody === undefined ? '' : `<h4>Body${operation.requestBody.required ? '' : ' (may be left out)'}</h4>${contents(operation.requestBody.content)}`}
<h4>Call</h4><pre tabindex="0"><code>${escape(curl(path, method, operation))}</code></pre>
${answers.join('')}<p class="refusals">Refusals: ${refusals.join(', ')}</p></article>`;
}

function curl(path: string, method: string, operation: DocumentedOperation): string {
  const parameters = operation.parameters ?? [];
  const example = (name: string): string => encodeURIComponent(parameters.find((one) => one.name === name)?.example ?? name.toUpperCase());
  const query = parameters.filter((one) => one.in === 'query' && 'example' in one).map((one) => `${one.name}=${example(one.name)}`);
  const where = `"$POSTERN_URL${path.replaceAll(/\{(\w+)\}/g, (_whole, name: string) => example(name))}${query.length === 0 ? '' : `?${query.join('&')}`}"`;
  const json = operation.requestBody?.content['application/json'];
  return [
    `curl ${method === 'get' ? '' : `-X ${method.toUpperCase()} `}${where}`,
    ...(operation.security.length === 0 ? [] : ['-H "Authorization: Bearer $POSTERN_TOKEN"']),
    ...(json?.example === undefined ? [] : ['-H "Content-Type: application/json"', `-d '${JSON.stringify(json.example)}'`]),
  ].join(' \\\n  ');
}

function contents(content: Content): string {
  return Object.entries(content)
    .map(([media, { schema }]) =>
      media === 'application/json' ? shape(schema) : `<p><code>${escape(media)}</code>: ${typeof schema['description'] === 'string' ? escape(schema['description']) : ''}</p>`,
    )
    .join('');
}

/** An object as a table of its fields; anything else in words. */
function shape(schema: Json): string {
  const properties = schema['properties'] as Record<string, Json> | undefined;
  if (properties === undefined) {
    const choices = (schema['oneOf'] ?? schema['anyOf']) as readonly Json[] | undefined;
    return choices?.some((one) => 'properties' in one) === true ? choices.map((one) => `<p>Either:</p>${shape(one)}`).join('') : `<p>${kind(schema)}</p>`;
  }
  const required = (schema['required'] ?? []) as readonly string[];
  const rows = Object.entries(properties).map(([name, property]) => {
    const about = typeof property['description'] === 'string' ? `<br>${inline(property['description'])}` : '';
    const inner = innerOf(property);
    return `<tr><th scope="row"><code>${escape(name)}</code></th><td>${required.includes(name) ? '' : 'may be left out'}</td><td>${kind(property)}${about}${inner === null ? '' : `<details><summary>its fields</summary>${shape(inner)}</details>`}</td></tr>`;
  });
  return `<table>${rows.join('')}</table>`;
}

function innerOf(property: Json): Json | null {
  if ('properties' in property) return property;
  const items = property['items'] as Json | undefined;
  return items !== undefined && 'properties' in items ? items : null;
}

/** What a value is, in a few words of HTML. */
function kind(schema: Json): string {
  const fallback = schema['default'] === undefined ? '' : `, default <code>${escape(JSON.stringify(schema['default']))}</code>`;
  return `${bareKind(schema)}${fallback}`;
}

function bareKind(schema: Json): string {
  if (typeof schema['$ref'] === 'string') return reference(schema['$ref']);
  const choices = (schema['anyOf'] ?? schema['oneOf']) as readonly Json[] | undefined;
  if (choices !== undefined) return choices.map(kind).join(' or ');
  if ('const' in schema) return `<code>${escape(JSON.stringify(schema['const']))}</code>`;
  if (Array.isArray(schema['enum'])) return schema['enum'].map((value) => `<code>${escape(JSON.stringify(value))}</code>`).join(' or ');
  if (schema['type'] === 'array') return `list of ${schema['items'] === undefined ? 'anything' : kind(schema['items'] as Json)}`;
  const { type = 'anything', format, minimum, maximum } = schema as { type?: string | readonly string[]; format?: string; minimum?: number; maximum?: number };
  const words = [typeof type === 'string' ? type : type.join(' or '), ...(format === undefined ? [] : [format])];
  if (minimum !== undefined) words.push(`from ${minimum}`);
  if (maximum !== undefined) words.push(`to ${maximum}`);
  return escape(words.join(', '));
}

function reference($ref: string): string {
  const name = $ref.split('/').at(-1) ?? '';
  return `<a href="#schema-${escape(name)}">${escape(name)}</a>`;
}

function text(markdown: string): string {
  return markdown
    .split('\n\n')
    .map((paragraph) => `<p>${inline(paragraph)}</p>`)
    .join('');
}

function inline(markdown: string): string {
  return escape(markdown).replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

function slug(name: string): string {
  return `tag-${name.toLowerCase()}`;
}

function escape(raw: string): string {
  return raw.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
