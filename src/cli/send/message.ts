// The message that `postern send` sends: a file made fit for SMTP, or a short test message. Pure but for the file.

import { isAscii } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { PosternError, errorText } from '#base/failure.ts';
import { asciiForm } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';

export type TestMessage = {
  readonly from: ReversePath;
  readonly to: readonly Address[];
  readonly subject: string;
  readonly text: string;
  readonly hostname: string;
  readonly nowMs: number;
};

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

/** Servers without SMTPUTF8 take only headers in ASCII, and A-labels mean the same. */
function plainest(address: Address): string {
  return (asciiForm(address) ?? address).text;
}

export function testMessage({ from, to, subject, text, hostname, nowMs }: TestMessage): Buffer {
  const lines = [
    `From: ${from === null ? `postmaster@${hostname}` : plainest(from)}`,
    `To: ${to.map(plainest).join(',\r\n\t')}`,
    `Subject: ${encodeSubject(subject)}`,
    `Date: ${new Date(nowMs).toUTCString().replace('GMT', '+0000')}`,
    `Message-ID: <${randomUUID()}@${hostname}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${isAscii(Buffer.from(text)) ? '7bit' : '8bit'}`,
    '',
  ];
  return Buffer.from(`${[...lines, ...text.split(/\r\n|\r|\n/)].join('\r\n')}\r\n`);
}

/** RFC 2047, in words of at most 75 characters. */
function encodeSubject(subject: string): string {
  const line = subject.replace(/[\r\n]+/g, ' ');
  if (isAscii(Buffer.from(line))) return line;
  const words: string[] = [];
  let word = '';
  for (const character of line) {
    if (Buffer.byteLength(word + character) > 42) {
      words.push(word);
      word = '';
    }
    word += character;
  }
  return [...words, word].map((part) => `=?utf-8?B?${Buffer.from(part).toString('base64')}?=`).join('\r\n ');
}
