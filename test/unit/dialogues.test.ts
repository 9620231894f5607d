// Every dialogue on the bare machine: in the packets it is written in, byte by byte, and cut anywhere. The replies are the same.

import { describe, it } from 'node:test';
import fc from 'fast-check';
import { playDialogue, readDialogues } from '../support/dialogue.ts';
import { LOGIN, openMachine } from '../support/machine.ts';

const CUTS = {
  'as written': (bytes: Buffer) => [bytes],
  'byte by byte': (bytes: Buffer) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1)),
} as const;

const dialogues = readDialogues();

for (const [name, cut] of Object.entries(CUTS)) {
  describe(`dialogues, ${name}`, () => {
    const machine = openMachine();
    for (const dialogue of dialogues) {
      it(`${dialogue.file}: ${dialogue.title}`, async () => {
        await playDialogue(dialogue, { line: machine.connect(dialogue.profile, { cut }), login: LOGIN });
      });
    }
  });
}

it('dialogues, cut anywhere', async () => {
  const machine = openMachine();
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...dialogues), fc.infiniteStream(fc.integer({ min: 1, max: 40 })), async (dialogue, sizes) => {
      const cut = (bytes: Buffer): Buffer[] => {
        const portions: Buffer[] = [];
        for (let at = 0; at < bytes.length;) {
          const size = sizes.next().value as number;
          portions.push(bytes.subarray(at, at + size));
          at += size;
        }
        return portions;
      };
      await playDialogue(dialogue, { line: machine.connect(dialogue.profile, { cut }), login: LOGIN });
    }),
    { numRuns: 300 },
  );
});
