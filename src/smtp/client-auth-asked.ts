// Mechanisms that a client uses only when it is told to by name: bearer tokens (XOAUTH2, OAUTHBEARER) and CRAM-MD5. The password is the token.
// RFC 7628, 2195; XOAUTH2 as Google and Microsoft have it.

import { createHmac } from 'node:crypto';
import type { ClientFailure, RemoteReply } from './client-types.ts';

type Login = { readonly username: string; readonly password: string };
type Answer = { readonly reply: RemoteReply } | { readonly failure: ClientFailure };
/** Sends a line, and keeps `shown` of it. */
export type Say = (line: string, shown: string) => Promise<Answer>;
/** The last answer; `detail`: what the server said of a token before it refused it. */
export type Asked = { readonly answer: Answer; readonly detail: string };

/** The first response of a bearer mechanism, in base64. */
export function bearerResponse(mechanism: 'XOAUTH2' | 'OAUTHBEARER', { username, password }: Login): string {
  const name = username.replace(/=/g, '=3D').replace(/,/g, '=2C');
  const text = mechanism === 'XOAUTH2' ? `user=${username}\x01auth=Bearer ${password}\x01\x01` : `n,a=${name},\x01auth=Bearer ${password}\x01\x01`;
  return Buffer.from(text).toString('base64');
}

export async function bearer(say: Say, mechanism: 'XOAUTH2' | 'OAUTHBEARER', login: Login): Promise<Asked> {
  const answer = await say(`AUTH ${mechanism} ${bearerResponse(mechanism, login)}`, `AUTH ${mechanism} [removed]`);
  if ('failure' in answer || answer.reply.code !== 334) return { answer, detail: '' };
  // Why not, as JSON; what answers it says only that it was read (RFC 7628 3.2.3).
  const detail = Buffer.from(answer.reply.lines[0] ?? '', 'base64')
    .toString('utf8')
    .replace(/[^\x20-\x7e]/g, '')
    .slice(0, 300);
  return { answer: mechanism === 'XOAUTH2' ? await say('', '[empty]') : await say('AQ==', 'AQ=='), detail };
}

export async function cramMd5(say: Say, { username, password }: Login): Promise<Asked> {
  const first = await say('AUTH CRAM-MD5', 'AUTH CRAM-MD5');
  if ('failure' in first || first.reply.code !== 334) return { answer: first, detail: '' };
  const digest = createHmac('md5', password)
    .update(Buffer.from(first.reply.lines[0] ?? '', 'base64'))
    .digest('hex');
  return { answer: await say(Buffer.from(`${username} ${digest}`).toString('base64'), '[proof removed]'), detail: '' };
}
