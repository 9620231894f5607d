// The entry of a worker thread: opens its relay, then does what main asks. The thread's life is main's matter.

import { parentPort, workerData } from 'node:worker_threads';
import { errorCode, errorText } from '#base/failure.ts';
import { openRelay } from './relay.ts';
import type { Relay } from './relay.ts';
import type { Asks, FromWorker, ToWorker, Verb, WorkerStart } from './worker-protocol.ts';

type Answers = { readonly [V in Verb]: (ask: Asks[V]['ask']) => Promise<Asks[V]['answer']> | Asks[V]['answer'] };

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread only');
const say = (message: FromWorker): void => port.postMessage(message);
const answers = answersOf(await openRelay(workerData as WorkerStart, { used: (names) => say({ used: names }) }));
port.on('message', (message: ToWorker) => void answer(message));
say({ opened: true });

async function answer({ q, verb, ask }: ToWorker): Promise<void> {
  try {
    say({ q, value: await (answers[verb] as (ask: unknown) => Promise<Asks[Verb]['answer']>)(ask) });
  } catch (error) {
    say({ q, error: { code: errorCode(error) ?? 'failed', text: errorText(error) } });
  }
}

function answersOf(relay: Relay): Answers {
  return {
    listen: ({ listener, reusePort }) => relay.listen(listener, { reusePort }),
    reload: async ({ config }) => {
      await relay.reload(config);
      return null;
    },
    certificates: async () => {
      await relay.reloadCertificates();
      return null;
    },
    challenges: ({ certificates }) => {
      relay.challenge(certificates);
      return null;
    },
    submit: ({ submissions }) => Promise.all(submissions.map((one) => relay.submit(one).catch((error: unknown) => ({ failed: errorText(error) })))),
    metrics: () => relay.metrics(),
    drain: async ({ withinMs }) => {
      await relay.drain(withinMs);
      return null;
    },
  };
}
