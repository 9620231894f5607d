// The messages that Debian ships: Python's email test data and SpamAssassin's samples.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export type Sample = { readonly name: string; readonly content: Buffer };

/** Line ends become CRLF, as every client makes them; nothing else is touched. */
export function corpus(): Sample[] {
  const python = readdirSync('/usr/lib')
    .filter((name) => name.startsWith('python3.'))
    .map((name) => `/usr/lib/${name}/test/test_email/data`);
  const folders = [...python, '/usr/share/doc/spamassassin/examples'];
  return folders.flatMap((folder) => {
    let names: string[];
    try {
      names = readdirSync(folder).filter((name) => name.endsWith('.txt'));
    } catch {
      return [];
    }
    return names.map((name) => ({
      name: `${folder.includes('spam') ? 'spamassassin' : 'python'}/${name}`,
      content: Buffer.from(
        readFileSync(join(folder, name))
          .toString('latin1')
          .replace(/\r\n|\r|\n/g, '\r\n'),
        'latin1',
      ),
    }));
  });
}
