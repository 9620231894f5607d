// Submissions and MTA mail for tests, through Postern's own client.

import { createSecureContext } from 'node:tls';
import { parseMailbox } from '#smtp/address.ts';
import { connectClient } from '#smtp/client.ts';
import type { ClientEnvelope, RecipientReply, SmtpClient } from '#smtp/client.ts';
import type { Credential } from './postern.ts';

export type Mail = { readonly from?: string | null; readonly to: readonly string[]; readonly content?: string | Buffer; readonly envelope?: Partial<ClientEnvelope> };

/** A connection ready for MAIL; with a credential over TLS, certificates not checked. */
export async function connectTo(
  port: number,
  options: { credential?: Credential; implicit?: boolean; address?: string; tls?: boolean; /** PEM: then the certificate verifies. */ ca?: string } = {},
): Promise<SmtpClient> {
  const { credential, implicit } = options;
  const secured = credential !== undefined || options.tls === true;
  const result = await connectClient({
    protocol: 'smtp',
    target: { address: options.address ?? '127.0.0.1', port },
    helo: 'client.test',
    recorder: null,
    tls: {
      wanted: implicit === true ? 'implicit' : secured ? 'starttls-required' : 'none',
      serverName: 'relay.test',
      verify: false,
      context: createSecureContext(options.ca === undefined ? {} : { ca: options.ca }),
    },
    ...(credential === undefined ? {} : { auth: credential }),
    timeouts: { connectMs: 10_000, greetingMs: 20_000, commandMs: 20_000, dataMs: 60_000 },
  });
  if ('failure' in result) throw new Error(`no connection: ${result.failure.text}`);
  return result.client;
}

export async function submit(client: SmtpClient, mail: Mail): Promise<readonly RecipientReply[]> {
  const content = typeof mail.content === 'string' || mail.content === undefined ? Buffer.from(mail.content ?? message()) : mail.content;
  const result = await client.transact(
    {
      from: mail.from === null ? null : parseMailbox(mail.from ?? 'app@sender.test'),
      sizeBytes: content.length,
      eightBit: false,
      smtpUtf8: false,
      requireTls: false,
      ret: null,
      envid: null,
      recipients: mail.to.map((to) => ({ address: parseMailbox(to) as NonNullable<ReturnType<typeof parseMailbox>>, notify: null, orcpt: null })),
      ...mail.envelope,
    },
    [content],
  );
  if ('failure' in result) throw new Error(`transaction failed: ${result.failure.text}`);
  return result.replies;
}

/** Submits and expects it taken; returns the queue id. */
export async function accepted(client: SmtpClient, mail: Mail): Promise<string> {
  const replies = await submit(client, mail);
  const text = replies.map((one) => `${one.reply.code} ${one.reply.lines.join(' ')}`).join('; ');
  const id = /queued as (\w+)/.exec(text)?.[1];
  if (id === undefined || replies.some((one) => !one.accepted)) throw new Error(`not accepted: ${text}`);
  return id;
}

export function message(subject = 'Hello', body = 'Hello there.\r\n'): string {
  return `From: App <app@sender.test>\r\nTo: someone@example.test\r\nSubject: ${subject}\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\nMessage-ID: <${subject.replace(/\W/g, '')}@sender.test>\r\n\r\n${body}`;
}
