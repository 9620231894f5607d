// Keeps the animals that are aiosmtpd, the server that Python programs make of it: a few lines for each, with the fault in them.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hostOf } from '../animal.ts';
import type { Ground } from '../ground.ts';
import { tempDir } from '../../support/temp.ts';
import { startDaemon } from './daemon.ts';

export type Python = {
  readonly by: 'aiosmtpd';
  readonly port: number;
  /** Lines of the class `Server(SMTP)`. */
  readonly server?: string;
  /** Lines of the class `Handler`. */
  readonly handler?: string;
  /** Arguments of `Server(Handler(), ...)`. */
  readonly options?: string;
};

export async function keepPython({ name, keep }: { name: string; keep: Python }, ground: Ground): Promise<void> {
  const dir = tempDir('aio');
  const [host, address] = [hostOf(name), ground.address(name)];
  const { chain, key } = await ground.certificates.issue(host, 'good');
  const script = join(dir, 'server.py');
  const lines = (text: string | undefined): string =>
    (text ?? 'pass')
      .split('\n')
      .map((line) => `    ${line}`)
      .join('\n');
  writeFileSync(
    script,
    `import asyncio, ssl
from aiosmtpd.smtp import SMTP, AuthResult, syntax

tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
tls.load_cert_chain('${chain}', '${key}')

class Handler:
${lines(keep.handler)}

class Server(SMTP):
${lines(keep.server)}

async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    make = lambda: Server(Handler(), hostname='${host}', tls_context=tls, loop=loop${keep.options === undefined ? '' : `, ${keep.options}`})
    server = await loop.create_server(make, '${address}', ${keep.port})
    await server.serve_forever()

asyncio.run(main())
`,
  );
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
  await startDaemon({ name, command: '/usr/bin/python3', args: [script], listens: [{ address, port: keep.port }], options: { env } });
}
