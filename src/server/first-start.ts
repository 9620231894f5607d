// What a person reads when the server has started: where it listens, the first credential, and a first command that works as printed.
// Pure text; names only what exists.

import { relative, resolve } from 'node:path';
import { domainToUnicode } from 'node:url';
import type { BoundListener } from './binding.ts';

export type FirstCredential = { readonly username: string; readonly password: string };

export type Welcome = {
  readonly version: string;
  readonly hostname: string;
  readonly dataDir: string;
  readonly httpUrl: string;
  readonly listeners: readonly BoundListener[];
  /** Who is to issue the certificate that is not there yet; null when there is nothing to wait for. */
  readonly authority: string | null;
  /** Made at this start; null when there were credentials already. */
  readonly first: FirstCredential | null;
  /** To the dashboard, holds once; null when people can sign in already. */
  readonly signInLink: string | null;
  /** How this program is called from here, with the options that find this server again. */
  readonly program: string;
  readonly globalOptions: string;
};

const USES = {
  mx: 'mail from other servers, STARTTLS offered',
  submissions: 'submission, TLS from the first byte',
  submission: 'submission, STARTTLS required',
  alternate: 'submission where 587 is blocked, STARTTLS required',
} as const;

/** The whole text, ending in a newline. */
export function welcomeText(welcome: Welcome): string {
  const { version, hostname, dataDir, httpUrl, listeners, signInLink } = welcome;
  const rows = listeners.map((listener) => [listener.name, formatAddress(listener.address, listener.port), USES[listener.profile]] as const);
  const nameWidth = Math.max(4, ...rows.map(([name]) => name.length));
  const addressWidth = Math.max(...rows.map(([, address]) => address.length), httpUrl.length);
  const lines = [
    `Postern ${version} is running as ${domainToUnicode(hostname) || hostname} (process ${process.pid}, data in ${dataDir})`,
    '',
    ...rows.map(([name, address, use]) => `  ${name.padEnd(nameWidth)}  ${address.padEnd(addressWidth)}  ${use}`),
    `  ${'http'.padEnd(nameWidth)}  ${httpUrl.padEnd(addressWidth)}  dashboard, API (/docs), /metrics`,
    ...notes(listeners),
    ...(signInLink === null ? [] : ['', 'The dashboard, signed in by this link once (24 hours; afterwards restart, or: postern person link admin):', `  ${signInLink}`]),
    ...certificateLines(welcome),
    ...credentialLines(welcome),
    '',
  ];
  return lines.join('\n');
}

function notes(listeners: readonly BoundListener[]): string[] {
  const found = listeners.flatMap((listener) => (listener.note === null ? [] : [`  ${listener.note}`]));
  return found.length === 0 ? [] : ['', ...found, '  To have the standard ports, give the service the right to bind them: docs/operations.md says how.'];
}

function certificateLines({ authority, program, globalOptions }: Welcome): string[] {
  if (authority === null) return [];
  return ['', `The certificate is self-signed until ${authority} has issued one; see how that goes with:`, `  ${program}${globalOptions} tls show`];
}

function credentialLines(welcome: Welcome): string[] {
  const { first, program, globalOptions } = welcome;
  const say = (command: string): string => `  ${program}${globalOptions} ${command}`;
  if (first === null) return ['', 'Mail and queue:', say('message list'), say('queue list')];
  return [
    '',
    'A first credential was made. It is a sandbox: its mail is captured and never leaves. The password is shown this once:',
    `  username  ${first.username}`,
    `  password  ${first.password}`,
    ...firstCommand(welcome, first),
    '',
    'Then look at it, and make a credential whose mail is delivered:',
    say('message list'),
    say('credential add NAME --domain YOUR-DOMAIN --live'),
  ];
}

/** One copy-paste command; the password goes through a pipe, so that no process list shows it. */
function firstCommand(welcome: Welcome, first: FirstCredential): string[] {
  const order = ['submission', 'alternate', 'submissions'] as const;
  const listener = order.map((profile) => welcome.listeners.find((one) => one.profile === profile)).find((one) => one !== undefined);
  if (listener === undefined) return [];
  const host = reachable(listener.address);
  const tls = listener.tls === 'implicit' ? ' --tls implicit' : '';
  const trust = loopback(host) ? '' : ' --insecure';
  return [
    '',
    'Send a first message:',
    `  printf %s '${first.password}' | ${welcome.program}${welcome.globalOptions} send --host ${host} --port ${listener.port}${tls}${trust} --user ${first.username} --password-file - --from you@example.com --to friend@example.net`,
  ];
}

/** An address a client on this machine can connect to. */
function reachable(address: string): string {
  if (address === '::' || address === '0.0.0.0') return '127.0.0.1';
  return address;
}

function loopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.');
}

function formatAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** How to call this program from the working directory: the checkout's `bin/postern`, or `postern` when it is installed. */
export function programName(packageRoot: string, workingDirectory: string): string {
  if (packageRoot.includes('node_modules')) return 'postern';
  const program = resolve(packageRoot, 'bin/postern');
  const near = relative(workingDirectory, program);
  return near.startsWith('..') ? program : near;
}
