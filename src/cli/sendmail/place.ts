// Where `postern sendmail` hands mail over: the socket of a server on this machine, or a submission server elsewhere. Programs call the command without
// any setting, so that the place is found in a file; what is said on the command line or in the environment goes before it.

import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'smol-toml';
import { z } from 'zod';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import { socketPath } from '#server/socket-path.ts';

export const SETTINGS_FILE = '/etc/postern/sendmail.toml';
/** Where packages keep the data of a server. */
const USUAL_DATA = '/var/lib/postern';
const SUBMISSION = 587;

const SETTINGS = z.strictObject({
  socket: z.string().min(1).optional(),
  domain: z.string().min(1).optional(),
  host: z.string().min(1).optional(),
  port: z.int().min(1).max(65_535).optional(),
  username: z.string().min(1).optional(),
  password_file: z.string().min(1).optional(),
  ca_file: z.string().min(1).optional(),
});

export type Relay = { readonly host: string; readonly port: number; readonly username: string | null; readonly passwordFile: string | null; readonly caFile: string | null };
export type Place = {
  readonly to: { readonly socket: string } | { readonly relay: Relay };
  /** Of addresses without one, where the settings say it. */
  readonly domain: string | null;
};

type Env = Readonly<Record<string, string | undefined>>;

/** Throws PosternError, exit code 2, when the settings are not valid. `dataDir`: as it was said, if it was. */
export function findPlace(dataDir: string | null, env: Env): Place {
  const file = env['POSTERN_SENDMAIL'] || SETTINGS_FILE;
  const settings = readSettings(file, { needed: Boolean(env['POSTERN_SENDMAIL']) });
  const domain = settings.domain ?? null;
  if (dataDir !== null) return { to: { socket: socketPath(dataDir) }, domain };
  if (settings.socket !== undefined) return { to: { socket: settings.socket }, domain };
  if (settings.host !== undefined) {
    const { host, port = SUBMISSION, username = null, password_file: passwordFile = null, ca_file: caFile = null } = settings;
    return { to: { relay: { host, port, username, passwordFile, caFile } }, domain };
  }
  const usual = [socketPath('./data'), socketPath(USUAL_DATA)].find((path) => isSocket(path));
  return { to: { socket: usual ?? socketPath('./data') }, domain };
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch (error) {
    // It may be there for others: then opening it tells so.
    return errorCode(error) === 'EACCES';
  }
}

function readSettings(file: string, { needed }: { readonly needed: boolean }): z.output<typeof SETTINGS> {
  if (!needed && !existsSync(file)) return {};
  const wrong = (cause: string): PosternError =>
    new PosternError(
      { code: 'sendmail-settings', cause: `${resolve(file)}: ${cause}`, fix: `Allowed are ${Object.keys(SETTINGS.shape).join(', ')}; see docs/sendmail.md.` },
      { exitCode: 2 },
    );
  let read: unknown;
  try {
    read = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw wrong(`${errorText(error).split('\n', 1)[0] ?? ''}.`);
  }
  const result = SETTINGS.safeParse(read);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw wrong(`${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}.`.trim());
}
