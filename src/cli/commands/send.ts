// `postern send`: one message with everything that is said, or a measured load of them. Without a port it climbs the ladder 465 -> 587 -> 2525;
// TLS is required unless --tls none is said, and a rung without it is left, not used.

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { PosternError, errorText } from '#base/failure.ts';
import { readLogin } from '#cli/login.ts';
import type { Cli } from '#cli/main.ts';
import { climb } from '#cli/send/ladder.ts';
import type { Attempt, Dialling } from '#cli/send/ladder.ts';
import { checkLoad, isLoad } from '#cli/send/load-limits.ts';
import { runLoad } from '#cli/send/load.ts';
import { NOTHING, registerOptions } from '#cli/send/options.ts';
import { usage } from '#cli/values.ts';
import type { Options } from '#cli/send/options.ts';
import { planTarget } from '#cli/send/plan.ts';
import type { Target } from '#cli/send/plan.ts';
import { readRequest } from '#cli/send/request.ts';
import type { Request } from '#cli/send/request.ts';
import { failedAll, finish } from '#cli/send/result.ts';
import { transact } from '#cli/send/transaction.ts';
import type { Said } from '#cli/send/transaction.ts';
import { outboundTls } from '#tls/context.ts';

export function register(program: Command, cli: Cli): void {
  registerOptions(program.command('send').description('send a message and show what is said; or many, and measure')).action((options: Options) =>
    send(cli, { ...NOTHING, ...options }),
  );
}

async function send(cli: Cli, options: Options): Promise<void> {
  const login = options.quitAfter === 'ehlo' ? null : readLogin(cli, options);
  if (options.auth !== undefined && login === null) throw usage('--auth names how to log in, but no user was given.', 'Name the user with --user.');
  if (options.quitAfter === 'auth' && login === null) throw usage('There is no login to try.', 'Name the user with --user, or say --quit-after ehlo.');
  const request = readRequest(options);
  if (options.dryRun === true) return print(cli, request);
  const target = await planTarget({
    host: options.host ?? null,
    port: options.port ?? null,
    tls: options.tls ?? null,
    protocol: options.lmtp === true ? 'lmtp' : 'smtp',
    socket: socketOf(options),
    family: familyOf(options),
    dataDir: cli.dataDir(),
    certificates: serverCertificates(cli),
  });
  checkLoad(options, target);
  if (options.insecure === true) cli.out.note('--insecure: certificates are not verified. Whoever sits in between can read and change everything, the password too.');
  const dialling: Dialling = {
    target,
    options,
    helo: request.helo,
    auth: login === null ? null : { ...login, ...(options.auth === undefined ? {} : { mechanism: options.auth }) },
    context: contextOf(options, target),
  };
  const attempts: Attempt[] = [];
  const reached = await climb(cli, dialling, attempts);
  if (reached === null) return failedAll(cli, { target, attempts, request });
  if (isLoad(options)) return runLoad(cli, { dialling, reached, request });
  let said: Said | null = null;
  if (options.quitAfter === undefined || options.quitAfter === 'rcpt')
    said = await transact(reached.client, { ...request, content: [request.content] }, { note: cli.out.note, askOnly: options.quitAfter === 'rcpt' });
  await reached.client.quit();
  finish(cli, { target, reached, attempts, said, request });
}

function contextOf({ caFile, tlsCert, tlsKey }: Options, { trusted }: Target): Dialling['context'] {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw usage('A certificate needs its key, and a key its certificate.', 'Give both --tls-cert and --tls-key.');
  const common = { caFile: caFile ?? null, caFileKey: '--ca-file', trusted };
  if (tlsCert === undefined || tlsKey === undefined) return outboundTls(common).secureContext;
  try {
    return outboundTls({ ...common, identity: { cert: readFileSync(tlsCert, 'utf8'), key: readFileSync(tlsKey, 'utf8') } }).secureContext;
  } catch (error) {
    if (error instanceof PosternError) throw error;
    throw usage(`The certificate ${tlsCert} and its key cannot be used: ${errorText(error)}.`, 'Give a PEM certificate, and the key that belongs to it.');
  }
}

/** What would be sent, and to whom. */
function print(cli: Cli, { from, recipients, content }: Request): void {
  const envelope = { from: from?.text ?? '', to: recipients.map(({ address }) => address.text) };
  if (cli.json) return cli.out.json({ envelope, sizeBytes: content.length, content: content.toString('utf8') });
  cli.out.note(`from <${envelope.from}> to ${envelope.to.map((to) => `<${to}>`).join(' ')}, ${content.length} octets`);
  process.stdout.write(content);
}

function socketOf({ socket, host, port }: Options): string | null {
  if (socket !== undefined && (host !== undefined || port !== undefined)) throw usage('--socket stands in the place of --host and --port.', 'Give one or the other.');
  return socket ?? null;
}

function familyOf({ ipv4, ipv6 }: Options): 4 | 6 | null {
  if (ipv4 === true && ipv6 === true) throw usage('--ipv4 and --ipv6 leave no address.', 'Give one of them.');
  return ipv4 === true ? 4 : ipv6 === true ? 6 : null;
}

/** The certificate of this server, when the configuration names one. */
function serverCertificates(cli: Cli): string[] {
  const named = cli.env['POSTERN_TLS__CERT'];
  return named === undefined ? [] : [named];
}
