// What a sink tells of what happens, event by event, for programs (a line of JSON each) and people. Passwords are in none of them.

export type SinkEvent =
  | { readonly event: 'connected'; readonly connection: number; readonly client: string; readonly port: number }
  /** Bytes that came before the greeting: only a client that is no good does that. */
  | { readonly event: 'early-talk'; readonly connection: number }
  | { readonly event: 'tls'; readonly connection: number; readonly protocol: string; readonly cipher: string; readonly serverName: string | null }
  | { readonly event: 'tls-failed'; readonly connection: number; readonly cause: string }
  | { readonly event: 'said'; readonly connection: number; readonly direction: '>' | '<'; readonly text: string }
  /** `inClear`: the password came without TLS. */
  | { readonly event: 'login'; readonly connection: number; readonly username: string; readonly accepted: boolean; readonly inClear: boolean }
  /** A reply of 400 or more. `personality`: who wanted it; null: the protocol itself. */
  | {
      readonly event: 'refused';
      readonly connection: number;
      readonly step: string;
      readonly code: number;
      readonly enhanced: string;
      readonly text: string;
      readonly personality: string | null;
    }
  /** Something that no good server does, other than a reply. */
  | { readonly event: 'acted'; readonly connection: number; readonly step: string; readonly act: string; readonly personality: string }
  | ({ readonly event: 'message'; readonly connection: number } & MessageFacts)
  /** The sink itself could not do something: no room in its directory, say. */
  | { readonly event: 'fault'; readonly connection: number; readonly cause: string }
  | { readonly event: 'disconnected'; readonly connection: number; readonly messages: number; readonly durationMs: number };

export type MessageFacts = {
  readonly id: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly sizeBytes: number;
  readonly subject: string | null;
  readonly messageId: string | null;
  readonly helo: string | null;
  readonly client: string;
  readonly tls: string | null;
  readonly username: string | null;
  /** Parameters of MAIL and RCPT, as they were given. */
  readonly parameters: readonly string[];
  /** False: it was kept, and the client was not told. */
  readonly answered: boolean;
  readonly file: string | null;
};

export type Emit = (event: SinkEvent) => void;
