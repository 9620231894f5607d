// The structured log: one line an event, `event` first among the fields, a message id through all of them. Everyone is handed the
// interface; `openLog` makes the one behind it. Goes to standard error, in batches: a line is no more than 50 ms late.

import { pino } from 'pino';

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

export type Level = 'debug' | 'info' | 'warn' | 'error';
const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error'];
export type OpenLog = Log & { /** Writes out what is buffered, now. */ flush(): void };
export type LogOptions = {
  readonly level: Level;
  /** `json`: a line of JSON an event; `pretty`: for people at a terminal. */
  readonly format: 'json' | 'pretty';
  /** A file descriptor, or whatever takes lines; default: standard error. */
  readonly destination?: number | { write(line: string): void };
};

/** Values of fields with these names never reach a log, whoever puts them there. */
const SECRETS = new Set(['password', 'pass', 'secret', 'token', 'authorization', 'cookie', 'apikey', 'api_key', 'privatekey', 'private_key', 'scram', 'secrethash']);
const HIDDEN = '[hidden]';
const FLUSH_MS = 50;
const BATCH_CHARACTERS = 64 * 1024;
/** A reader of the log that has gone to sleep costs lines, not memory. */
const MAX_BUFFERED_BYTES = 16 * 1024 * 1024;

/** Opens the log of this thread. Each thread has its own; lines are written whole. */
export function openLog(options: LogOptions): OpenLog {
  const sink = openSink(options);
  return { ...logOver({ least: LEVELS.indexOf(options.level), write: sink.write }, {}), flush: sink.flush };
}

type Sink = { write(line: string): void; flush(): void };

function openSink({ format, destination }: LogOptions): Sink {
  const raw = typeof destination === 'object' ? { write: (line: string) => destination.write(line), flush() {} } : openFile(destination ?? 2);
  return format === 'json' ? raw : { write: (line) => raw.write(prettyLine(line)), flush: raw.flush };
}

function openFile(fd: number): Sink {
  const file = pino.destination({ fd, sync: false, maxLength: MAX_BUFFERED_BYTES });
  // A log that nobody reads any more must not end the server.
  file.on('error', () => {});
  let timer: NodeJS.Timeout | null = null;
  let lines = '';
  const handOver = (): void => {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (lines !== '') file.write(lines);
    lines = '';
  };
  const flush = (): void => {
    handOver();
    try {
      file.flushSync();
    } catch {
      // Not open yet, or closed by its reader.
    }
  };
  process.on('exit', flush);
  return {
    write(line) {
      lines += line;
      if (lines.length >= BATCH_CHARACTERS) return handOver();
      timer ??= setTimeout(handOver, FLUSH_MS).unref();
    },
    flush,
  };
}

type Lines = { readonly least: number; readonly write: (line: string) => void };

function logOver(lines: Lines, bound: LogFields): Log {
  const begun = Object.keys(bound).length === 0 ? '' : fieldsText(bound);
  const at = (level: Level) => {
    if (LEVELS.indexOf(level) < lines.least) return () => {};
    const head = `{"level":"${level}","time":"`;
    return (event: string, fields?: LogFields) => lines.write(`${head}${isoNow()}","event":${JSON.stringify(event)}${begun}${fields === undefined ? '' : fieldsText(fields)}}\n`);
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), with: (fields) => logOver(lines, { ...bound, ...fields }) };
}

/** Many lines fall into one millisecond. */
let lastMs = 0;
let lastIso = '';
function isoNow(): string {
  const nowMs = Date.now();
  if (nowMs !== lastMs) {
    lastMs = nowMs;
    lastIso = new Date(nowMs).toISOString();
  }
  return lastIso;
}

/** `,"name":value` for each field that has a value. Text by text, as most are short strings: a line is written for every message. */
function fieldsText(fields: LogFields): string {
  let text = '';
  for (const key in fields) {
    const value = fields[key];
    if (value === undefined) continue;
    const { text: name, secret } = nameOf(key);
    text += name + valueText(secret ? HIDDEN : value);
  }
  return text;
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return stringText(value);
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null';
  if (typeof value === 'boolean' || value === null) return String(value);
  return objectText(value);
}

function stringText(value: string): string {
  // Neither a quote nor a backslash, nothing outside of printable ASCII: it stands for itself.
  return value.length < 100 && /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/.test(value) ? `"${value}"` : JSON.stringify(value);
}

/** What JSON has no form for is written as text; a log line never throws. */
function objectText(value: unknown): string {
  try {
    return JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? 'null';
  } catch {
    return JSON.stringify(String(value));
  }
}

type Name = { readonly text: string; readonly secret: boolean };

/** Names are few, and the same ones come again. */
const names = new Map<string, Name>();
function nameOf(key: string): Name {
  let name = names.get(key);
  if (name === undefined) {
    name = { text: `,${JSON.stringify(key)}:`, secret: SECRETS.has(key.toLowerCase()) };
    if (names.size < 1000) names.set(key, name);
  }
  return name;
}

/** `08:15:02.123 WARN  delivery.deferred id=... cause="..."`; control characters stay escaped, so that nothing forges a line. */
function prettyLine(json: string): string {
  const { time, level, event, ...rest } = JSON.parse(json) as Record<string, string>;
  const fields = Object.entries(rest).map(([key, value]) => `${key}=${/^[\w.@:<>/+-]+$/.test(String(value)) ? String(value) : JSON.stringify(value)}`);
  return `${String(time).slice(11, 23)} ${String(level).toUpperCase().padEnd(5)} ${event} ${fields.join(' ')}\n`;
}
