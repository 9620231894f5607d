// The message that `postern send` sends: a file made fit for SMTP, or one made of what was asked for; header fields put in the place of others.
// Pure but for the files.

import { isAscii } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { PosternError, errorText } from '#base/failure.ts';
import { findFields, foldHeader, oneLine, parseHeaders, removeFields } from '#mail/headers.ts';
import { usage } from '#cli/values.ts';

export type HeaderField = readonly [name: string, value: string];

/** Reads a message (`-`: standard input); line ends become CRLF, and nothing else is touched. */
export function readMessage(file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file === '-' ? 0 : file);
  } catch (error) {
    throw new PosternError(
      { code: 'file-not-read', cause: `The message ${file} cannot be read: ${errorText(error)}.`, fix: 'Give the path of a message (headers, an empty line, the body) to --file.' },
      { exitCode: 2, cause: error },
    );
  }
  return Buffer.from(content.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n'), 'latin1');
}

/** The text itself, `@FILE`, or `-` for standard input. */
export function readText(text: string, option: string): string {
  if (text !== '-' && !text.startsWith('@')) return text;
  try {
    return readFileSync(text === '-' ? 0 : text.slice(1), 'utf8');
  } catch (error) {
    throw usage(
      `What ${option} names cannot be read: ${errorText(error)}.`,
      `Check the path behind @ in ${option}; a text that begins with @ comes from a file or from standard input.`,
    );
  }
}

/** Reads `Name: value`. */
export function parseField(text: string): HeaderField {
  const [, name, value = ''] = /^([!-9;-~]+):\s*(.*)$/s.exec(text) ?? [];
  if (name === undefined || /[\r\n\0]/.test(value)) throw usage(`--header ${JSON.stringify(text)} is no header field.`, 'Write it like --header "X-Test: value", on one line.');
  return [name, value];
}

/** The message with these fields in the place of all of the same names. `utf8`: as they are (RFC 6532), else in encoded words where they must be. */
export function withFields(content: Buffer, fields: readonly HeaderField[], utf8: boolean): Buffer {
  if (fields.length === 0) return content;
  const names = new Set(fields.map(([name]) => name.toLowerCase()));
  const header = parseHeaders(content);
  const head = content.subarray(0, header.endOffset);
  const lines = header.complete ? head.subarray(0, head.length - 2) : head;
  const kept = removeFields(lines, header.fields, (field) => names.has(field.name));
  const added = fields.map(([name, value]) => (utf8 || isAscii(Buffer.from(value)) ? foldHeader(name, value.split(' ')) : `${name}: ${encodedWords(value)}\r\n`));
  return Buffer.concat([...kept, Buffer.from(`${added.join('')}\r\n`), content.subarray(header.endOffset)]);
}

/** RFC 2047, in words of at most 75 characters. */
function encodedWords(text: string): string {
  const words: string[] = [];
  let word = '';
  for (const character of oneLine(text)) {
    if (Buffer.byteLength(word + character) > 42) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  return [...words, word].map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join('\r\n ');
}

/** The same message again and again, each with a Message-ID of its own if it has one that was made here. */
export function copiesOf(content: Buffer, makeId: ((number: number) => string) | null): (number: number) => Buffer[] {
  const [field] = makeId === null ? [] : findFields(parseHeaders(content).fields, 'message-id');
  if (field === undefined || makeId === null) return () => [content];
  const [before, after] = [content.subarray(0, field.start), content.subarray(field.end)];
  return (number) => [Buffer.concat([before, Buffer.from(`Message-ID: ${makeId(number)}\r\n`), after])];
}
