// V8's settings are its own: a name that it does not know is only a line on standard error, which nobody would look at.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { run } from '../support/temp.ts';

test('V8 knows every setting that it is given, and says nothing', async () => {
  const script = "const { tuneRuntime } = await import('#server/runtime.ts'); tuneRuntime(); console.log('set');";
  const done = await run(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
  });
  assert.deepEqual(done, { code: 0, stdout: 'set\n', stderr: '' });
});
