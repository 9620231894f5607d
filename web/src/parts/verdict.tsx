// What the doctor says, as a word with a colour.

import type { ReactNode } from 'react';
import type { DoctorFinding, ExaminationRow } from '#web/api/schema.ts';
import { Badge } from './badge.tsx';
import type { Tone } from './badge.tsx';

type Said = DoctorFinding['status'] | ExaminationRow['status'];

const LOOKS: Readonly<Record<string, readonly [Tone, string]>> = {
  pass: ['good', 'fine'],
  warn: ['warn', 'look at it'],
  fail: ['bad', 'fault'],
  skip: ['plain', 'not checked'],
  running: ['info', 'under way'],
} satisfies Readonly<Record<Said, readonly [Tone, string]>>;

export function Verdict({ of }: { readonly of: Said }): ReactNode {
  const [tone, word] = LOOKS[of] ?? (['plain', of] as const);
  return <Badge tone={tone}>{word}</Badge>;
}
