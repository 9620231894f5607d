// The structured log: one line an event, `event` first, a message id through all of them. The interface everyone is handed;
// the pino behind it is made in `openLog`.

/** Fields of one event. Use `id` for the message id, `session` for a connection, `failure` for {cause, fix}. */
export type LogFields = Readonly<Record<string, unknown>>;

export type Log = {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log that adds these fields to every line. */
  with(fields: LogFields): Log;
};

/** Discards everything: for units that are handed a log and do not test it. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLog,
};
