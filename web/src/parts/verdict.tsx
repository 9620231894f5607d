// What the doctor says, as a word with a colour.

import type { ReactNode } from 'react';
import { Badge } from './badge.tsx';
import type { Tone } from './badge.tsx';

const LOOKS: Readonly<Record<string, readonly [Tone, string]>> = {
  pass: ['good', 'fine'],
  warn: ['warn', 'look at it'],
  fail: ['bad', 'fault'],
  skip: ['plain', 'not checked'],
  running: ['info', 'under way'],
};

export function Verdict({ of }: { readonly of: string }): ReactNode {
  const [tone, word] = LOOKS[of] ?? (['plain', of] as const);
  return <Badge tone={tone}>{word}</Badge>;
}
