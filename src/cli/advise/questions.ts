// The advisor's questions to somebody at a terminal: four at most, each with an answer for Enter alone. The end of input is an answer too: none.

import { createInterface } from 'node:readline/promises';
import { PosternError } from '#base/failure.ts';
import { SCENARIOS, findLibrary, findProvider } from '#advise/question.ts';
import type { Scenario } from '#advise/question.ts';
import { folded } from './text.ts';
import { LIBRARIES } from '#knowledge/libraries.ts';
import { PROVIDERS } from '#knowledge/providers.ts';

export type Answers = { readonly scenario: Scenario; readonly probe: boolean; readonly library?: string; readonly provider?: string; readonly host?: string };

type Terminal = { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream };

/** Asks; rejects with PosternError (exit code 2) when the terminal goes away in between. */
export async function askQuestions({ input, output }: Terminal): Promise<Answers> {
  const lines = createInterface({ input, output });
  const gone = new AbortController();
  lines.on('close', () => gone.abort());
  const ask = async (question: string): Promise<string> => {
    try {
      return (await lines.question(`${question} `, { signal: gone.signal })).trim();
    } catch {
      throw new PosternError(
        { code: 'not-answered', cause: 'The questions were not answered to the end.', fix: 'Ask again, or say it in options: postern advise --help' },
        { exitCode: 2 },
      );
    }
  };
  /** Until there is an answer that can be used; what is wrong with one is said. */
  const until = async <T>(question: string, parse: (answer: string) => T): Promise<T> => {
    for (;;) {
      const answer = await ask(question);
      try {
        return parse(answer);
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        output.write(`  ${error.failure.cause} ${error.failure.fix}\n`);
      }
    }
  };
  try {
    const scenarios = Object.entries(SCENARIOS) as [Scenario, string][];
    output.write(`What sends the mail?\n${scenarios.map(([, text], i) => `  ${i + 1}  ${text}`).join('\n')}\n`);
    const scenario = await until('A number (Enter: 1):', (answer) => {
      const chosen = scenarios[answer === '' ? 0 : Number(answer) - 1] ?? scenarios.find(([name]) => name === answer);
      if (chosen === undefined)
        throw new PosternError({ code: 'usage', cause: `${JSON.stringify(answer)} is none of them.`, fix: `Answer with a number from 1 to ${scenarios.length}.` });
      return chosen[0];
    });
    const library = await until(`\nWith which library or program? One of:\n${names(LIBRARIES)}\nA name (Enter: none of them):`, (answer) =>
      answer === '' ? undefined : findLibrary(answer).id,
    );
    const provider =
      scenario === 'own-server'
        ? undefined
        : await until(`\nThrough which mail service? One of:\n${names(PROVIDERS)}\nA name (Enter: none of them):`, (answer) =>
            answer === '' ? undefined : findProvider(answer).id,
          );
    const host =
      provider === undefined
        ? (await ask(`\n${scenario === 'own-server' ? 'The name of the server' : 'The host that mail is handed to'} (Enter: not known yet):`)) || undefined
        : undefined;
    const probe = /^y/i.test(await ask(`\nShall I look which ports are open from here? Connections are made to ${provider ?? host ?? 'two well-known mail services'}. (y/N):`));
    output.write('\n');
    return {
      scenario,
      probe,
      ...(library === undefined ? {} : { library }),
      ...(provider === undefined ? {} : { provider }),
      ...(host === undefined ? {} : { host }),
    };
  } finally {
    lines.close();
  }
}

function names(rows: readonly { readonly id: string }[]): string {
  return `  ${folded(rows.map(({ id }) => id).join(', '), { width: 80, indent: 2 })}`;
}
