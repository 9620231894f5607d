// Which answer of a receiver means that an address gets no more mail, and what becomes of mail to such an address. Only what speaks of the
// recipient's address counts (RFC 3463 3.2): 5.1.7 and 5.1.8 are about the sender, 5.7 is a policy, 4xx passes. Pure.

import { EVERYBODY, addressKey } from '#queue/suppression.ts';
import type { NewSuppression, Suppression } from '#queue/suppression.ts';
import type { Envelope, LeasedRecipient, Outcome } from '#queue/records.ts';
import type { Refusal } from './connector.ts';

/** Bad mailbox, bad system, bad syntax, moved without address, recipient not found. */
const ABOUT_RECIPIENT: ReadonlySet<string> = new Set(['5.1.1', '5.1.2', '5.1.3', '5.1.6', '5.1.10']);
/** Said of senders as well: they count where the words do not say so. */
const ABOUT_EITHER: ReadonlySet<string> = new Set(['5.1.0', '5.1.4']);
/** What the words say goes before the number: some receivers say 5.1.1 to whom they have blocked. */
const CLASSES: ReadonlySet<string> = new Set(['no-such-user', 'no-such-domain', 'bad-recipient', 'mailbox-moved', 'mailbox-disabled', 'not-taking-mail', 'refused']);
const TEXT_CHARACTERS = 500;

/** Only mail that was submitted here is somebody's of ours: what is passed on or reported is not. */
export function isOurs({ kind, mode, origin }: Envelope): boolean {
  return kind === 'mail' && mode === 'live' && (origin.credential !== null || origin.profile === 'api' || origin.profile === 'local');
}

/** The entry that an outcome brings forth, or null. `alone`: the answer can be about this recipient only. */
export function suppressionBy(envelope: Envelope, of: { readonly recipient: LeasedRecipient; readonly outcome: Outcome; readonly alone: boolean }): NewSuppression | null {
  const { recipient, outcome, alone } = of;
  if (outcome.verdict !== 'bounced' || outcome.code < 500 || outcome.remoteHost === null || !isOurs(envelope)) return null;
  if (outcome.scope !== 'recipient' && !(outcome.scope === 'message' && alone)) return null;
  if (!speaksOfRecipient(outcome)) return null;
  return {
    address: addressKey(recipient.address),
    recipientDomain: recipient.address.domain,
    senderDomain: envelope.from?.domain ?? EVERYBODY,
    reason: 'bounced',
    enhanced: outcome.enhanced,
    text: `${outcome.code} ${outcome.enhanced} ${outcome.text}`.slice(0, TEXT_CHARACTERS),
    remoteHost: outcome.remoteHost,
    messageId: envelope.id,
    createdAtMs: outcome.startedAtMs + outcome.durationMs,
  };
}

function speaksOfRecipient({ enhanced, text, class: word }: Outcome): boolean {
  if (!CLASSES.has(word)) return false;
  return ABOUT_RECIPIENT.has(enhanced) || (ABOUT_EITHER.has(enhanced) && !/\bsender\b|\bfrom address\b|\bmail from\b/i.test(text));
}

const WHY: Readonly<Record<Suppression['reason'], string>> = {
  bounced: 'a receiver refused it for good',
  complained: 'who reads it complained of mail',
  unsubscribed: 'who reads it wants no more mail',
  manual: 'it was put on the list by hand',
};

/** What becomes of mail to an address that is on the list. */
export function refusalOf(entry: Suppression): Refusal {
  const since = new Date(entry.createdAtMs).toISOString().slice(0, 10);
  const said = entry.text === '' ? '' : entry.reason === 'bounced' ? `: ${entry.remoteHost ?? 'the receiver'} said "${entry.text}"` : `: ${entry.text}`;
  const whose = entry.senderDomain === EVERYBODY ? '' : ` for mail of ${entry.senderDomain}`;
  return {
    verdict: 'bounced',
    code: 550,
    enhanced: entry.reason === 'bounced' && entry.enhanced !== '' ? entry.enhanced : '5.7.1',
    text: `Not sent: ${entry.address} is suppressed since ${since}, as ${WHY[entry.reason]}${said}`,
    class: 'suppressed',
    cause: `The address is on the suppression list of this server${whose} since ${since}, as ${WHY[entry.reason]}${said}.`,
    fix: `If the address takes mail again, take it off the list and send once more: postern suppression remove ${entry.address}`,
  };
}
