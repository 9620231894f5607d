// Mail with other than ASCII addresses or headers, for a hop without SMTPUTF8: what can be written in ASCII is, and who cannot be reached that
// way is told so; the other recipients get their mail. RFC 6531 3.2, 3.7.1.

import type { Envelope } from '#queue/records.ts';
import { asciiForm } from '#smtp/address.ts';
import type { Address, ReversePath } from '#smtp/address.ts';
import type { Capabilities, ClientFailure } from '#smtp/client.ts';

type Someone = { readonly address: Address };

/** A recipient, and how it is written for this hop. */
export type Fitted<R extends Someone> = { readonly recipient: R; readonly address: Address };

/** What goes to this hop, and what cannot. */
export type Fit<R extends Someone> = {
  readonly smtpUtf8: boolean;
  readonly from: ReversePath;
  readonly fitted: readonly Fitted<R>[];
  readonly unfit: readonly R[];
  /** Why, when there are some. */
  readonly why: ClientFailure | null;
};

/** Fits the envelope; `from` is the sender as this hop is to hear it. */
export function fitEnvelope<R extends Someone>(
  of: { envelope: Pick<Envelope, 'smtpUtf8' | 'utf8Header'>; from: ReversePath; recipients: readonly R[] },
  { keywords }: Pick<Capabilities, 'keywords'>,
): Fit<R> {
  const { envelope, from, recipients } = of;
  if (!envelope.smtpUtf8 || keywords.has('SMTPUTF8')) {
    return { smtpUtf8: envelope.smtpUtf8, from, fitted: recipients.map((recipient) => ({ recipient, address: recipient.address })), unfit: [], why: null };
  }
  const sender = from === null ? null : asciiForm(from);
  const none = (code: string, text: string): Fit<R> => ({ smtpUtf8: false, from, fitted: [], unfit: recipients, why: lacks(code, text) });
  if (envelope.utf8Header === true) return none('ERR_SMTPUTF8_HEADER', 'the next hop does not offer SMTPUTF8, which the headers of this message need');
  if (from !== null && sender === null) return none('ERR_SMTPUTF8_ADDRESS', 'the next hop does not offer SMTPUTF8, which the sender address of this message needs');
  const fitted: Fitted<R>[] = [];
  const unfit: R[] = [];
  for (const recipient of recipients) {
    const address = asciiForm(recipient.address);
    if (address === null) unfit.push(recipient);
    else fitted.push({ recipient, address });
  }
  return { smtpUtf8: false, from: sender, fitted, unfit, why: lacks('ERR_SMTPUTF8_ADDRESS', 'the next hop does not offer SMTPUTF8, which this address needs') };
}

function lacks(code: string, text: string): ClientFailure {
  return { phase: 'mail', kind: 'policy', reply: null, code, text, possibleDuplicate: false };
}
