// The tour, inside of the namespaces of the zoo: starts the animals that are named (default: all), asks the doctor about each, some at once, and
// prints a line of JSON for each answer. Ends everything.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { ROOT } from '../support/postern.ts';
import { closeAll, run, tempDir } from '../support/temp.ts';
import { hostOf } from './animal.ts';
import type { Animal } from './animal.ts';
import { keep } from './keeper.ts';
import { ANIMALS } from './list.ts';

const AT_ONCE = 6;

const names = process.argv.slice(2);
const chosen = ANIMALS.filter(({ name }) => names.length === 0 || names.includes(name));
const beside = new Set(chosen.flatMap((animal) => animal.beside ?? []));
const { ground, resolver } = await keep(ANIMALS.filter((animal) => chosen.includes(animal) || beside.has(animal.name)));
const config = join(tempDir('cfg'), 'postern.toml');
writeFileSync(config, `hostname = "doctor.zoo.test"\n[dns]\nservers = ["${resolver}"]\n[delivery]\nca_file = "${ground.certificates.caFile}"\n`);

// Those that take their time come first.
const waiting = chosen.toSorted((a, b) => Number(b.args?.includes('--timeout') === true) - Number(a.args?.includes('--timeout') === true));
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (let animal = waiting.shift(); animal !== undefined; animal = waiting.shift()) process.stdout.write(`${JSON.stringify(await examine(animal))}\n`);
  }),
);
await closeAll();
process.exit(0);

async function examine({ name, keep: kept, target, args = [], password }: Animal): Promise<unknown> {
  const startMs = performance.now();
  const asked = (target ?? `HOST${portOf(kept)}`).replaceAll('HOST', hostOf(name));
  const program = ['--disable-warning=ExperimentalWarning', join(ROOT, 'src/cli/run.ts'), '--json', '--config', config, '--data', join(config, '..', 'data')];
  // A program that starts some seventy times is compiled once.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(config, '..', 'compiled'), ...(password === undefined ? {} : { POSTERN_PASSWORD: password }) };
  const done = await run(process.execPath, [...program, 'doctor', asked, '--helo', 'doctor.zoo.test', ...args], { env });
  let report: unknown = null;
  try {
    report = JSON.parse(done.stdout);
  } catch {
    // Told by what it wrote instead.
  }
  return { name, code: done.code, report, errors: report === null ? done.stderr : '', ms: Math.round(performance.now() - startMs) };
}

function portOf([first]: Animal['keep']): string {
  if (first === undefined) return '';
  if ('ports' in first) return first.ports.length === 1 ? `:${first.ports[0]}` : '';
  return 'port' in first && first.port !== null ? `:${first.port}` : '';
}
