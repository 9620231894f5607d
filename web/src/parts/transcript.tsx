// What was said on the wire in one attempt, as it was recorded: secrets taken out.

import type { ReactNode } from 'react';
import { useApi } from '#web/api/client.ts';
import type { TranscriptView } from '#web/api/types.ts';
import { CodeBlock } from './copy.tsx';

export function Transcript({ id, startedAt, n }: { readonly id: string; readonly startedAt: string; readonly n: number | null }): ReactNode {
  const transcripts = useApi<TranscriptView>(`/v1/messages/${id}/transcripts`);
  const found = transcripts.data?.transcripts.find((one) => one.startedAt === startedAt && (n === null || one.recipients.includes(n)));
  if (found === undefined) return transcripts.isPending ? null : <p className="text-soft">No transcript was kept of this attempt.</p>;
  return <CodeBlock text={found.text} label="the transcript" wrap />;
}
