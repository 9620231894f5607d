// Where the management socket lies. Both the server and the commands ask here.

import { join, relative, resolve } from 'node:path';

/** By the shorter of its two names, whole or from the working directory: the system allows about 100 bytes. */
export function socketPath(dataDir: string): string {
  const whole = resolve(dataDir, 'postern.sock');
  const near = relative(process.cwd(), whole);
  return near.length < whole.length ? join('.', near) : whole;
}
