// One message on its way into a sink: measured, its header read for the event, kept in the directory if there is one, answered as the rules
// say. Of the content no more than the header is held in memory.

import type { MaybePromise } from '#base/promise.ts';
import { parseHeaders } from '#mail/headers.ts';
import { decodeWords } from '#mail/words.ts';
import { formatPath } from '#smtp/address.ts';
import type { Connection, MailCommand, MessageSink, RcptCommand, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import type { Act, Step } from './act.ts';
import type { Subject } from './decision.ts';
import type { MessageFacts } from './events.ts';
import type { World } from './world.ts';

/** What a message asks of its connection. */
export type Desk = {
  readonly world: World;
  readonly number: number;
  perform(step: Step, subject?: Partial<Subject>): MaybePromise<Reply | null>;
  /** Does it now: what comes of it is a reply, or never comes. */
  act(step: Step, act: Act, from: string): MaybePromise<Reply>;
  taken(facts: MessageFacts): void;
  refused(step: string, reply: Reply): void;
  /** One reply after the other, in the place of one (RFC 2033 4.2). */
  several(replies: readonly Reply[]): Reply;
};

const HEADER_BYTES = 64 * 1024;

export function openMessage(desk: Desk, connection: Connection, transaction: Transaction): MessageSink {
  const { world } = desk;
  const { knobs } = world.settings.behaviour;
  const id = world.nextMessageId();
  const parcel = world.settings.mailbag?.open(id) ?? null;
  const head: Buffer[] = [];
  let sizeBytes = 0;
  return {
    write(chunk) {
      if (sizeBytes < HEADER_BYTES) head.push(chunk);
      sizeBytes += chunk.length;
      if (knobs.dropAfterBytes !== undefined && sizeBytes > knobs.dropAfterBytes) return Promise.resolve(desk.act('message', { do: 'drop' }, 'drop-midway'));
      const written = parcel?.write(chunk);
      if (knobs.readBytesPerSecond === undefined) return written;
      return pause((chunk.length / knobs.readBytesPerSecond) * 1000).then(() => written);
    },
    async finish() {
      if (knobs.acceptDelayMs !== undefined) await pause(knobs.acceptDelayMs);
      const verdicts = await judge(desk, transaction);
      const takers = transaction.recipients.filter((_, i) => isTaken(verdicts[world.settings.protocol === 'lmtp' ? i : 0] ?? null));
      const answers = verdicts.map((wanted) => wanted ?? { code: 250, enhanced: '2.0.0', lines: [`Taken as ${id}; it goes no further`] });
      const answer = (): Reply => {
        const [first] = answers;
        if (first !== undefined && answers.length === 1) return first;
        for (const reply of answers) if (reply.code >= 400) desk.refused('message', reply);
        return desk.several(answers);
      };
      if (takers.length === 0) {
        parcel?.drop();
        return answer();
      }
      const facts = { id, ...describe({ ...transaction, recipients: takers }, connection), ...headerFacts(Buffer.concat(head)), sizeBytes, answered: knobs.loseReply !== true };
      const file = parcel === null ? null : await parcel.keep(facts);
      desk.taken({ ...facts, file });
      if (knobs.loseReply === true) return desk.act('message', { do: 'drop' }, 'lost-reply');
      return answer();
    },
    abort() {
      parcel?.drop();
    },
  };
}

/** What the rules want: once for the whole message, with LMTP for each recipient. */
async function judge(desk: Desk, { recipients }: Transaction): Promise<(Reply | null)[]> {
  const subjectOf = (some: readonly RcptCommand[]): Partial<Subject> => ({ names: some.map(({ to }) => to.text), locals: some.map(({ to }) => to.local) });
  if (desk.world.settings.protocol === 'smtp') return [await desk.perform('message', subjectOf(recipients))];
  const verdicts: (Reply | null)[] = [];
  for (const recipient of recipients) verdicts.push(await desk.perform('message', subjectOf([recipient])));
  return verdicts;
}

function isTaken(wanted: Reply | null): boolean {
  return wanted === null || wanted.code < 300;
}

function describe(
  { mail, recipients }: Transaction,
  { helo, clientAddress, tls, identity }: Connection,
): Omit<MessageFacts, 'id' | 'sizeBytes' | 'subject' | 'messageId' | 'answered' | 'file'> {
  return {
    from: mail.from?.text ?? '',
    to: recipients.map(({ to }) => to.text),
    helo,
    client: clientAddress,
    tls: tls === null ? null : `${tls.protocol} ${tls.cipher}`,
    username: identity?.username ?? null,
    parameters: [mailParameters(mail), ...recipients.map(rcptParameters)].filter((text) => text !== ''),
  };
}

function mailParameters({ from, sizeBytes, body, smtpUtf8, requireTls, ret, envid }: MailCommand): string {
  const given = [
    sizeBytes === null ? '' : `SIZE=${sizeBytes}`,
    body === null ? '' : `BODY=${body.toUpperCase()}`,
    smtpUtf8 ? 'SMTPUTF8' : '',
    requireTls ? 'REQUIRETLS' : '',
    ret === null ? '' : `RET=${ret.toUpperCase()}`,
    envid === null ? '' : `ENVID=${envid}`,
  ].filter((text) => text !== '');
  return given.length === 0 ? '' : `MAIL ${formatPath(from)} ${given.join(' ')}`;
}

function rcptParameters({ to, notify, orcpt }: RcptCommand): string {
  const wanted = notify === null ? [] : (['success', 'failure', 'delay'] as const).filter((what) => notify[what]).map((what) => what.toUpperCase());
  const given = [notify === null ? '' : `NOTIFY=${wanted.join(',') || 'NEVER'}`, orcpt === null ? '' : `ORCPT=${orcpt.type};${orcpt.value}`].filter((text) => text !== '');
  return given.length === 0 ? '' : `RCPT ${formatPath(to)} ${given.join(' ')}`;
}

function headerFacts(head: Buffer): Pick<MessageFacts, 'subject' | 'messageId'> {
  const { fields } = parseHeaders(head);
  const value = (name: string): string | null =>
    fields
      .find((field) => field.name === name)
      ?.value()
      .trim() ?? null;
  const subject = value('subject');
  return { subject: subject === null ? null : decodeWords(subject), messageId: value('message-id') };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
