// Files that `postern send` attaches: `FILE;type=TYPE;name=NAME` read, and the media type that goes with the end of a name.

import { readFileSync } from 'node:fs';
import { basename, extname } from 'node:path';
import { errorText } from '#base/failure.ts';
import type { Attachment } from '#mail/compose.ts';
import { usage } from '#cli/values.ts';

const TYPES: Readonly<Record<string, string>> = {
  avif: 'image/avif',
  csv: 'text/csv; charset=utf-8',
  doc: 'application/msword',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  eml: 'message/rfc822',
  gif: 'image/gif',
  gz: 'application/gzip',
  htm: 'text/html; charset=utf-8',
  html: 'text/html; charset=utf-8',
  ics: 'text/calendar; charset=utf-8',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  json: 'application/json',
  log: 'text/plain; charset=utf-8',
  md: 'text/markdown; charset=utf-8',
  mp3: 'audio/mpeg',
  mp4: 'video/mp4',
  odt: 'application/vnd.oasis.opendocument.text',
  ods: 'application/vnd.oasis.opendocument.spreadsheet',
  p7s: 'application/pkcs7-signature',
  pdf: 'application/pdf',
  png: 'image/png',
  pptx: 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  rtf: 'application/rtf',
  svg: 'image/svg+xml',
  tar: 'application/x-tar',
  txt: 'text/plain; charset=utf-8',
  vcf: 'text/vcard; charset=utf-8',
  webp: 'image/webp',
  xls: 'application/vnd.ms-excel',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  xml: 'application/xml',
  zip: 'application/zip',
};

/** Reads one `--attach`. */
export function readAttachment(text: string): Attachment {
  const [, path = '', options = ''] = /^(.*?)((?:;(?:type|name)=[^;]*(?:;\s*charset=[^;]*)?)*)$/s.exec(text) ?? [];
  const option = (name: string): string | null => new RegExp(`;${name}=([^;]*(?:;\\s*charset=[^;]*)?)`).exec(options)?.[1] ?? null;
  const filename = option('name') ?? (path === '-' ? 'attachment' : basename(path));
  const contentType = option('type') ?? TYPES[extname(filename).slice(1).toLowerCase()] ?? 'application/octet-stream';
  if (!/^[\w!#$&^.+-]+\/[\w!#$&^.+-]+(?:;.*)?$/.test(contentType) || /^multipart\//i.test(contentType))
    throw usage(`The type ${JSON.stringify(contentType)} of --attach ${JSON.stringify(text)} is not one.`, 'Write it like ";type=application/pdf".');
  try {
    return { filename, contentType, content: readFileSync(path === '-' ? 0 : path).toString('base64'), contentId: null, inline: false };
  } catch (error) {
    throw usage(`The file ${path} cannot be attached: ${errorText(error)}.`, 'Check the path given to --attach.');
  }
}
