// What was said on a client connection, with secrets removed before they are kept.

export type TranscriptEntry = {
  /** Milliseconds since the connection was begun. */
  readonly atMs: number;
  /** `>` we said, `<` they said, `*` something happened (connected, TLS, closed). */
  readonly direction: '>' | '<' | '*';
  readonly text: string;
};

export type Transcript = readonly TranscriptEntry[];
