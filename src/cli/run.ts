// The entry: what bin/postern starts.

import { Socket } from 'node:net';
import { main } from './main.ts';

followParent();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
});
process.exitCode = await main(process.argv.slice(2), process.env);

/** On a Node that cannot exec, bin/postern stands before us: when it is killed, we are meant. */
function followParent(): void {
  const fd = Number(process.env['POSTERN_PARENT'] ?? '');
  delete process.env['POSTERN_PARENT'];
  if (!Number.isInteger(fd) || fd < 3) return;
  const parent = new Socket({ fd, readable: true, writable: false });
  parent.on('close', () => process.kill(process.pid, 'SIGKILL')).on('error', () => {});
  parent.resume();
  parent.unref();
}
