// Signs a message: its header and the hash of its body in, DKIM-Signature fields out, one for each key. Knows neither where keys come from nor
// which domain is right. RFC 6376 5, RFC 8463. Never `l=`: what is added to a body has to break the signature.

import type { KeyObject } from 'node:crypto';
import { parseHeaders } from '#mail/headers.ts';
import type { Field } from '#mail/headers.ts';
import type { AlgorithmName } from './algorithms.ts';
import { canonicalField } from './canonical.ts';
import { coveredFields } from './fields.ts';
import type { Pen } from './pen.ts';

export type SigningKey = { readonly domain: string; readonly selector: string; readonly algorithm: AlgorithmName; readonly privateKey: KeyObject };

export type ToSign = {
  /** The whole header, with or without the blank line. */
  readonly header: Buffer;
  /** Of the relaxed body (canonical.ts). */
  readonly bodyHash: Buffer;
  readonly nowMs: number;
  /** After so long the signature no longer counts (`x=`). */
  readonly lifetimeMs: number;
};

const LINE_CHARACTERS = 72;

/** The DKIM-Signature fields, to be put on top of the message. Rejects as `pen` does. */
export async function signMessage(keys: readonly SigningKey[], message: ToSign, pen: Pen): Promise<Buffer> {
  const { names, fields } = coveredFields(parseHeaders(message.header).fields);
  const text = message.header.toString('latin1');
  const input = fields.map((field) => canonicalField(rawField(text, field), 'relaxed')).join('');
  const unsigned = keys.map((key) => signatureField(key, names, message));
  const signatures = await pen.sign(keys.map((key, i) => ({ key, input: inputOf(unsigned[i] as string, input) })));
  return Buffer.from(unsigned.map((field, i) => signedField(field, signatures[i] as string)).join(''), 'latin1');
}

/** What is signed for a field whose `b=` is empty. `covered` are the canonical fields that it covers (RFC 6376 3.7). */
export function inputOf(unsigned: string, covered: string): string {
  return covered + canonicalField(unsigned, 'relaxed').slice(0, -2);
}

/** The field with its signature, which is base64. */
export function signedField(unsigned: string, signature: string): string {
  return `${unsigned}${foldBase64(signature)}\r\n`;
}

/** The field up to `b=`, folded (RFC 6376 3.5). */
function signatureField(key: SigningKey, names: readonly string[], message: ToSign): string {
  const signedAt = Math.floor(message.nowMs / 1000);
  const expiresAt = signedAt + Math.floor(message.lifetimeMs / 1000);
  const lines = [
    `DKIM-Signature: v=1; a=${key.algorithm}; c=relaxed/relaxed;`,
    `d=${key.domain}; s=${key.selector};`,
    `t=${signedAt}; x=${expiresAt};`,
    ...foldNames(names),
    `bh=${message.bodyHash.toString('base64')};`,
    'b=',
  ];
  return lines.join('\r\n\t');
}

/** `h=a:b:c;` in lines that break behind a colon, where white space means nothing. */
export function foldNames(names: readonly string[]): string[] {
  const lines: string[] = [];
  let line = 'h=';
  names.forEach((name, i) => {
    const piece = `${name}${i === names.length - 1 ? ';' : ':'}`;
    if (line.length + piece.length > LINE_CHARACTERS && line !== 'h=') {
      lines.push(line);
      line = '';
    }
    line += piece;
  });
  return [...lines, line];
}

/** Base64 in lines that fold, for the end of a field. */
function foldBase64(text: string): string {
  return (text.match(/.{1,70}/g) ?? []).join('\r\n\t');
}

function rawField(text: string, field: Field): string {
  return text.slice(field.start, field.end);
}
