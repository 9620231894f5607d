// Credentials for commands that log in somewhere: the user as an option, the password from a file, standard input or the environment, never
// from an argument, where every process list shows it.

import { readFileSync } from 'node:fs';
import { errorText } from '#base/failure.ts';
import type { Cli } from './main.ts';
import { usage } from './values.ts';

export type LoginOptions = { readonly user?: string; readonly passwordFile?: string };

/** null: no login. Throws PosternError (exit code 2) when one half is missing. */
export function readLogin(cli: Cli, { user, passwordFile }: LoginOptions): { username: string; password: string } | null {
  const fromEnvironment = cli.env['POSTERN_PASSWORD'];
  if (user === undefined) {
    if (passwordFile !== undefined) throw usage('A password was given, but no user.', 'Name the user with --user.');
    return null;
  }
  if (passwordFile === undefined && fromEnvironment === undefined)
    throw usage('A user was given, but no password.', 'Name the file with --password-file FILE (- for standard input), or set POSTERN_PASSWORD.');
  return { username: user, password: passwordFile === undefined ? (fromEnvironment ?? '') : readPassword(passwordFile) };
}

function readPassword(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8').replace(/\r?\n$/, '');
  } catch (error) {
    throw usage(`The password file ${file} cannot be read: ${errorText(error)}.`, 'Check the path given to --password-file.');
  }
}
