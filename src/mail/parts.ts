// The type of an entity and the boundary of its parts, as far as splitting needs them; and the parts. RFC 2045 5.1, RFC 2046 5.1.

import { findFields } from './headers.ts';
import type { Field } from './headers.ts';

/** `name` is lower case, '' where there is none or none that can be read. */
export type ContentType = { readonly name: string; readonly boundary: string | null };

export function contentType(fields: readonly Field[]): ContentType {
  const value = findFields(fields, 'content-type')[0]?.value() ?? '';
  const name = /^\s*([A-Za-z0-9!#$&^_.+-]+\/[A-Za-z0-9!#$&^_.+-]+)/.exec(value)?.[1]?.toLowerCase() ?? '';
  const match = /;\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/i.exec(value);
  const boundary = match === null ? null : (match[1]?.replace(/\\(.)/g, '$1') ?? match[2] ?? null);
  return { name, boundary: boundary === '' ? null : boundary };
}

export type Delimiter = { readonly start: number; readonly end: number; readonly last: boolean };

/** Delimiter lines of this boundary with the line end before them (RFC 2046 5.1.1), up to and with the closing one. */
export function findDelimiters(body: Buffer, boundary: string): Delimiter[] {
  const dashed = Buffer.from(`--${boundary}`, 'latin1');
  const found: Delimiter[] = [];
  for (let at = body.indexOf(dashed); at !== -1; at = body.indexOf(dashed, at + dashed.length)) {
    if (at > 0 && body[at - 1] !== 10) continue;
    const lineEnd = body.indexOf(10, at);
    const end = lineEnd === -1 ? body.length : lineEnd + 1;
    const rest = body.toString('latin1', at + dashed.length, end);
    const last = rest.startsWith('--');
    // Another boundary that begins with this one.
    if (!/^[ \t]*\r?\n?$/.test(last ? rest.slice(2) : rest)) continue;
    const start = at === 0 ? 0 : body[at - 2] === 13 ? at - 2 : at - 1;
    found.push({ start: Math.max(start, found.at(-1)?.end ?? 0), end, last });
    if (last) break;
  }
  return found;
}
