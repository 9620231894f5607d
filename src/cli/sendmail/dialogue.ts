// `sendmail -bs`: SMTP on standard input and output, for programs that speak it to a command. The session is the server's own (src/smtp/session.ts), its
// policy takes everything and hands each message over; nothing here is a network.

import { silentLog } from '#base/log.ts';
import type { MaybePromise } from '#base/promise.ts';
import { commandTable } from '#smtp/commands.ts';
import { formatPath } from '#smtp/address.ts';
import type { Connection, MessageSink, Policy, Transaction } from '#smtp/policy.ts';
import type { Reply } from '#smtp/reply.ts';
import { Session } from '#smtp/session.ts';
import { EX } from './handover.ts';
import type { Handed, HandedOver } from './handover.ts';

export type DialogueOptions = {
  readonly hostname: string;
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly limitBytes: number;
  readonly handOver: (handed: Handed) => Promise<HandedOver>;
};

const LIMITS = { recipients: 10_000, authFailures: 1, idleCommands: 1000, commandTimeoutMs: 300_000, dataTimeoutMs: 600_000, sessionTimeoutMs: 86_400_000 };

/** Resolves when the client has said QUIT, closed its side, or been silent too long. */
export function speak(options: DialogueOptions): Promise<void> {
  const { input, output, limitBytes } = options;
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout | undefined;
    const session = new Session({
      connection: pipe(),
      policy: policyOf(options),
      limits: { ...LIMITS, messageSizeBytes: limitBytes },
      hostname: options.hostname,
      commands: commandTable(),
      log: silentLog,
      io: {
        write: (text) => void output.write(text),
        startTls: () => {},
        pause: () => void input.pause(),
        resume: () => void input.resume(),
        end() {
          clearTimeout(timer);
          input.pause();
          resolve();
        },
        timeout(ms) {
          clearTimeout(timer);
          timer = setTimeout(() => session.timedOut(), ms);
        },
      },
    });
    void session.admit();
    session.start();
    input.on('data', (chunk: Buffer) => session.feed(chunk));
    input.on('end', () => session.inputEnded());
  });
}

/** As safe as TLS: it leaves no process. And so nobody is offered any. */
function pipe(): Connection {
  const tls = { protocol: 'pipe', cipher: '', serverName: null };
  return { id: 'stdin', profile: 'mx', clientAddress: '127.0.0.1', clientPort: 0, localAddress: '', localPort: 0, helo: null, extended: false, tls, identity: null };
}

function policyOf(options: DialogueOptions): Policy {
  const never = (): never => {
    throw new Error('AUTH is not offered here');
  };
  return {
    connect: () => null,
    authenticate: never,
    scramKeys: never,
    authenticated: never,
    authFailed: never,
    mail: () => null,
    rcpt: () => null,
    postmasterDomain: () => options.hostname,
    data: (_connection, transaction) => sink(transaction, options),
    refused: () => {},
    closed: () => {},
  };
}

function sink({ mail, recipients }: Transaction, { handOver }: DialogueOptions): MessageSink {
  const chunks: Buffer[] = [];
  return {
    write: (chunk): MaybePromise<void> => void chunks.push(chunk),
    async finish() {
      const notify = recipients[0]?.notify ?? null;
      const { code, text } = await handOver({
        content: Buffer.concat(chunks),
        from: mail.from === null ? null : formatPath(mail.from).slice(1, -1),
        to: recipients.map(({ to }) => to.text),
        notify: notify === null ? null : kindsOf(notify),
        ret: mail.ret,
        envid: mail.envid,
      });
      return replyOf(code, text);
    },
    abort: () => void chunks.splice(0),
  };
}

function kindsOf({ success, failure, delay }: { success: boolean; failure: boolean; delay: boolean }): 'never' | string[] {
  const kinds = [...(success ? ['success'] : []), ...(failure ? ['failure'] : []), ...(delay ? ['delay'] : [])];
  return kinds.length === 0 ? 'never' : kinds;
}

function replyOf(code: number, text: string): Reply {
  if (code === EX.ok) return { code: 250, enhanced: '2.6.0', lines: ['Message handed over to the server'] };
  const lines = [text.slice(0, 300)];
  return code === EX.tempFail ? { code: 451, enhanced: '4.3.0', lines } : { code: 554, enhanced: '5.7.0', lines };
}
