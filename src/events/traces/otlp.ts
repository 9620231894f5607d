// Spans as OTLP writes them in JSON (opentelemetry-proto, trace/v1; JSON encoding of OTLP 1.x): ids in hex, times and whole numbers as text, as they have 64 bits,
// kinds and statuses by number. Knows nothing of mail.

/** A span of Postern. `atMs`: when the event that it tells of happened. */
export type Span = {
  readonly traceId: string;
  readonly spanId: string;
  /** null: the root. */
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly kind: keyof typeof KINDS;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly notes: readonly { readonly atMs: number; readonly name: string }[];
  /** Why it is an error; null: it is none. */
  readonly error: string | null;
  readonly atMs: number;
};

/** null: is left out. */
export type Attributes = Readonly<Record<string, string | number | boolean | null>>;

export type Source = { readonly version: string; readonly hostname: string };

const KINDS = { internal: 1, client: 3, consumer: 5 } as const;
const STATUS_ERROR = 2;
/** Words from outside are not under our control. */
const MAX_TEXT = 500;

/** The content of one request: ExportTraceServiceRequest. */
export function exportRequest(spans: readonly Span[], { version, hostname }: Source): string {
  const resource = { attributes: attributesOf({ 'service.name': 'postern', 'service.version': version, 'host.name': hostname }) };
  return JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'postern', version }, spans: spans.map(spanOf) }] }] });
}

function spanOf({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, notes, error }: Span): object {
  return {
    traceId,
    spanId,
    ...(parentSpanId === null ? {} : { parentSpanId }),
    name,
    kind: KINDS[kind],
    startTimeUnixNano: nanoseconds(startMs),
    endTimeUnixNano: nanoseconds(Math.max(startMs, endMs)),
    attributes: attributesOf(attributes),
    ...(notes.length === 0 ? {} : { events: notes.map((note) => ({ timeUnixNano: nanoseconds(note.atMs), name: note.name })) }),
    ...(error === null ? {} : { status: { code: STATUS_ERROR, message: cut(error) } }),
  };
}

function attributesOf(attributes: Attributes): object[] {
  return Object.entries(attributes).flatMap(([key, value]) => (value === null ? [] : [{ key, value: valueOf(value) }]));
}

function valueOf(value: string | number | boolean): object {
  if (typeof value === 'string') return { stringValue: cut(value) };
  if (typeof value === 'boolean') return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** A number of nanoseconds is more than a double holds. */
function nanoseconds(ms: number): string {
  return String(BigInt(Math.round(ms * 1000)) * 1000n);
}

function cut(text: string): string {
  return text.slice(0, MAX_TEXT).toWellFormed();
}
