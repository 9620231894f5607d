// The configuration described: the reference page and the JSON schema for editors, both from the rows of schema.ts.

import { z } from 'zod';
import { LISTS, ROWS } from './schema.ts';
import type { Row } from './schema.ts';

const TABLES: Readonly<Record<string, string>> = {
  '': 'The server itself.',
  listener:
    'The ports. Without any `[[listener]]` all four profiles are opened on their ports and all addresses; a default port that may not be bound (25, 465, 587) gives way to 10025, 10465, 10587.',
  tls: 'The certificate of the listeners. [certificates.md](certificates.md) tells how ACME is set up.',
  'tls.certificate': 'More certificates, chosen by the name a client asks for (SNI).',
  dns: 'Resolvers.',
  delivery: 'Outbound connections.',
  route: 'Where recipients go. The first route that matches is taken; without a match (and without any route) mail goes to the mail hosts of the domain.',
  forward: 'Addresses of domains that are received for, whose mail goes elsewhere; see [inbound.md](inbound.md).',
  forwarding: 'How mail is passed on.',
  tls_policy: 'What mail to certain domains needs of TLS, beside what they publish themselves; see [tls.md](tls.md).',
  domains: 'Domains that mail is sent from, as `domain add` keeps them.',
  mta_sts: 'The MTA-STS policy that senders to your domains find; see [tls.md](tls.md#for-the-domains-you-receive-for).',
  tls_reports: 'Reports to others about the TLS of the connections to them; see [tls.md](tls.md#tls-reports).',
  inbound: 'Domains that mail is received for.',
  queue: 'How long and how often delivery is tried.',
  limits: 'What clients may do.',
  http: 'The API, health and metrics.',
  sendmail: 'Mail that accounts of this machine hand over, see [sendmail.md](sendmail.md).',
  telemetry: 'Traces for OpenTelemetry, see [operations.md](operations.md#traces).',
  workers: 'Threads.',
  log: 'The log.',
};

/** docs/configuration.md, whole. */
export function configurationReference(): string {
  const parts = [HEAD];
  for (const [table, about] of Object.entries(TABLES)) {
    const list = (LISTS as Readonly<Record<string, Readonly<Record<string, Row>>>>)[table];
    const rows = list === undefined ? Object.values(ROWS as Readonly<Record<string, Row>>).filter((row) => tableOf(row.key) === table) : Object.values(list);
    parts.push(`## ${table === '' ? 'Top level' : list === undefined ? `\`[${table}]\`` : `\`[[${table}]]\``}\n\n${about}\n`);
    parts.push('| key | takes | default | reload | what it is for |\n|---|---|---|---|---|');
    for (const row of rows) parts.push(describe(row, list === undefined ? row.key.slice(table === '' ? 0 : table.length + 1) : row.key));
    parts.push('');
  }
  return parts.join('\n');
}

const HEAD = `<!-- Made by "npm run docs" from src/config/schema.ts: change that, then make it again. -->
# Configuration

Postern reads one TOML file: \`--config FILE\`, else the one \`POSTERN_CONFIG\` names, else \`./postern.toml\` if it is there. Without any it runs with the
defaults below. Every key can also be set by an environment variable: \`POSTERN_\`, the path in upper case, two underscores for each dot
(\`POSTERN_HTTP__PORT=8080\`, \`POSTERN_LISTENER__0__PORT=2587\`; a whole list as JSON: \`POSTERN_ROUTE='[{"type":"capture"}]'\`). The environment wins over the file.

\`postern config check\` tells every mistake at once, with line and key. \`postern config show\` tells every value and where it is from.
\`postern config schema\` prints the JSON schema for editors.

Durations are written \`500ms\`, \`90s\`, \`15m\`, \`4h\`, \`4d\`; sizes \`50MB\` (millions), \`50MiB\` (1,048,576) or a number of bytes. Keys with *reload* take
effect on SIGHUP, together with renewed certificates; the others need a restart. Passwords never stand in the file: \`password_file\` names
where they are.
`;

function describe(row: Row, key: string): string {
  const fallback = row.fallbackText ?? (row.fallback === undefined ? '' : `\`${JSON.stringify(row.fallback)}\``);
  return `| \`${key}\` | ${cell(kindText(row)).replaceAll('*', '\\*')} | ${cell(fallback)} | ${row.reloadable ? 'yes' : ''} | ${cell(row.doc)} |`;
}

/** A pipe would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function tableOf(key: string): string {
  const parts = key.split('.');
  return parts.length === 1 ? '' : (parts[0] ?? '');
}

/** What a kind takes: of a list, what is in it; else from the sentence it refuses with. */
function kindText({ kind }: Pick<Row, 'kind'>): string {
  if (kind instanceof z.ZodArray) return `a list, each ${kindText({ kind: kind.element as z.ZodType })}`;
  const refused = kind.safeParse(Symbol('none'));
  const text = (refused.success ? '' : (refused.error.issues[0]?.message ?? '')).replace(/^must be /, '');
  // Of plain text the description says more.
  return text === 'text in quotes' ? (kind.meta()?.description ?? 'text') : text;
}

/** JSON schema (draft 2020-12) of the TOML file. */
export function configurationSchema(): Record<string, unknown> {
  const root: Schema = { type: 'object', additionalProperties: false, properties: {} };
  for (const row of Object.values(ROWS as Readonly<Record<string, Row>>)) put(root, row.key.split('.'), schemaOf(row));
  for (const [name, rows] of Object.entries(LISTS)) {
    const items: Schema = { type: 'object', additionalProperties: false, properties: {} };
    for (const row of Object.values(rows as Readonly<Record<string, Row>>)) put(items, [row.key], schemaOf(row));
    put(root, name.split('.'), { type: 'array', items });
  }
  return { $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Postern configuration', ...root };
}

type Schema = { type: 'object'; additionalProperties: false; properties: Record<string, unknown> };

function schemaOf(row: Row): unknown {
  const { $schema: _, ...schema } = z.toJSONSchema(row.kind, { io: 'input', unrepresentable: 'any' }) as Record<string, unknown>;
  return { ...schema, description: row.doc, ...(row.fallback === undefined || row.fallbackText !== undefined ? {} : { default: row.fallback }) };
}

function put(into: Schema, path: readonly string[], schema: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) into.properties[key] = schema;
  else put((into.properties[key] ??= { type: 'object', additionalProperties: false, properties: {} }) as Schema, rest, schema);
}
