// The message of `postern send` over an open connection, made fit for what the server takes as a delivery would be. Shows nothing.

import { isAscii } from 'node:buffer';
import { fitEnvelope } from '#deliver/international.ts';
import { downgrade } from '#mail/downgrade.ts';
import { isAsciiAddress } from '#smtp/address.ts';
import type { ClientFailure, RecipientReply, SmtpClient } from '#smtp/client.ts';
import type { Request } from './request.ts';

export type Message = Pick<Request, 'from' | 'recipients' | 'ret' | 'envid' | 'requireTls'> & { readonly content: readonly Buffer[] };

/** What was said of each recipient, or why it could not be asked; or how the transaction failed as a whole. */
export type Said = readonly (RecipientReply | ClientFailure)[] | ClientFailure;

/** Sends it, or with `askOnly` says MAIL and RCPT only. `note` hears what was changed on the way. Never rejects. */
export async function transact(client: SmtpClient, message: Message, { note, askOnly }: { note: (text: string) => void; askOnly: boolean }): Promise<Said> {
  const { from, recipients, ret, envid, requireTls } = message;
  const { keywords } = client.capabilities;
  const content = message.content.length === 1 ? (message.content[0] ?? Buffer.alloc(0)) : Buffer.concat(message.content);
  const headEnd = content.indexOf('\r\n\r\n');
  const utf8Header = !isAscii(content.subarray(0, headEnd === -1 ? content.length : headEnd));
  const smtpUtf8 = utf8Header || (from !== null && !isAsciiAddress(from)) || recipients.some(({ address }) => !isAsciiAddress(address));
  const fit = fitEnvelope({ envelope: { smtpUtf8, utf8Header }, from, recipients }, client.capabilities);
  if (fit.fitted.length === 0 && fit.why !== null) return fit.why;
  const eightBit = !isAscii(content);
  const convert = eightBit && !keywords.has('8BITMIME');
  const converted = convert ? downgrade(content) : { chunks: [content] };
  if ('problem' in converted) return policy('ERR_8BITMIME', `the server takes no 8-bit content (no 8BITMIME), and the message cannot be converted: ${converted.problem}`);
  if (convert) note('the server takes no 8-bit content (no 8BITMIME): the message was converted to quoted-printable or base64');
  const { chunks } = converted;
  if (!keywords.has('DSN') && (ret !== null || envid !== null || recipients.some(({ notify, orcpt }) => notify !== null || orcpt !== null)))
    note('the server does not offer DSN: what was wanted of it is not asked for');
  const envelope = {
    from: fit.from,
    recipients: fit.fitted.map(({ recipient, address }) => ({ ...recipient, address })),
    sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    eightBit: eightBit && !convert,
    smtpUtf8: fit.smtpUtf8,
    requireTls,
    ret,
    envid,
  };
  const result = await (askOnly ? client.ask(envelope) : client.transact(envelope, [...chunks]));
  if ('failure' in result) return result.failure;
  const said = new Map(fit.fitted.map(({ recipient }, i) => [recipient, result.replies[i]]));
  return recipients.map((recipient) => said.get(recipient) ?? fit.why ?? policy('ERR_UNASKED', 'the server was not asked'));
}

function policy(code: string, text: string): ClientFailure {
  return { phase: 'mail', kind: 'policy', reply: null, code, text, possibleDuplicate: false };
}
