// What is counted, and how it is told to Prometheus (text format 0.0.4). One registry a thread: counting is a map lookup, and main adds
// the threads' snapshots up when somebody asks. Knows nothing of how snapshots travel.

type Definition = { readonly type: 'counter' | 'gauge' | 'histogram'; readonly help: string; readonly labels: readonly string[]; readonly bounds?: readonly number[] };

const ANSWER_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const JOURNEY_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 5, 30, 60, 300, 1800, 3600, 14_400, 86_400, 345_600];

/** Every metric there is. Label values come from small fixed sets (profiles, routes, verdicts), never from the wire. */
export const METRICS = {
  postern_connections_total: { type: 'counter', help: 'SMTP connections that ended, by port profile and TLS version.', labels: ['profile', 'tls'] },
  postern_connections_open: { type: 'gauge', help: 'SMTP connections open now, by port profile.', labels: ['profile'] },
  postern_tls_failures_total: { type: 'counter', help: 'TLS handshakes of clients that failed, by port profile.', labels: ['profile'] },
  postern_auth_failures_total: { type: 'counter', help: 'Failed authentications, by port profile.', labels: ['profile'] },
  postern_accepted_messages_total: { type: 'counter', help: 'Messages answered with 250 after their content, by port profile.', labels: ['profile'] },
  postern_accepted_bytes_total: { type: 'counter', help: 'Bytes of accepted messages, by port profile.', labels: ['profile'] },
  postern_refusals_total: { type: 'counter', help: 'Refusals of a connection, command or message, by port profile and enhanced code.', labels: ['profile', 'code'] },
  postern_authentication_total: {
    type: 'counter',
    help: 'Messages by port 25, by method (spf, dkim, dmarc, arc) and result; of several DKIM signatures the best.',
    labels: ['method', 'result'],
  },
  postern_dispositions_total: { type: 'counter', help: 'Messages by port 25, by what DMARC came to: accepted, quarantined, rejected, deferred.', labels: ['disposition'] },
  postern_accept_seconds: { type: 'histogram', help: 'From DATA or the first BDAT to the durable 250.', labels: [], bounds: ANSWER_SECONDS },
  postern_outcomes_total: { type: 'counter', help: 'Delivery attempts of recipients, by route, verdict and whether TLS was used.', labels: ['route', 'verdict', 'tls'] },
  postern_attempts_secured_total: {
    type: 'counter',
    help: 'Delivery attempts of recipients to other servers, by the TLS policy that decided, how the certificate proved itself, and verdict.',
    labels: ['policy', 'certificate', 'verdict'],
  },
  postern_tls_sessions_total: { type: 'counter', help: 'Outbound connections that came as far as TLS, by kind of policy and result (RFC 8460).', labels: ['policy', 'result'] },
  postern_attempt_seconds: { type: 'histogram', help: 'Duration of one delivery attempt.', labels: [], bounds: ANSWER_SECONDS },
  postern_delivery_seconds: { type: 'histogram', help: "From acceptance to the receiver's 250.", labels: [], bounds: JOURNEY_SECONDS },
  postern_queue_recipients: { type: 'gauge', help: 'Recipients in the queue, by state.', labels: ['state'] },
  postern_queue_messages: { type: 'gauge', help: 'Messages in the queue, captured ones included.', labels: [] },
  postern_queue_bytes: { type: 'gauge', help: 'Bytes of message content in the queue.', labels: [] },
  postern_queue_oldest_seconds: { type: 'gauge', help: 'Age of the oldest message that waits.', labels: [] },
  postern_webhooks: { type: 'gauge', help: 'Webhooks, by state (active, failing, disabled).', labels: ['state'] },
  postern_webhook_attempts_total: { type: 'counter', help: 'Attempts to tell a webhook of an event, by result (delivered, failed, given-up).', labels: ['result'] },
  postern_webhook_events_pending: { type: 'gauge', help: 'Events that wait to be told to webhooks.', labels: [] },
  postern_webhook_oldest_seconds: { type: 'gauge', help: 'How long the oldest event has waited for a webhook that is not disabled.', labels: [] },
  postern_trace_spans_total: { type: 'counter', help: 'Spans of traces, by result (sent, dropped); none while traces are off.', labels: ['result'] },
  postern_event_loop_delay_seconds: { type: 'gauge', help: 'Event loop delay of each thread since the last look, 99th percentile.', labels: ['thread'] },
  postern_worker_restarts_total: { type: 'counter', help: 'Worker threads that died and were replaced.', labels: [] },
  postern_certificate_expiry_timestamp_seconds: { type: 'gauge', help: 'When a TLS certificate ends, by its first name.', labels: ['name'] },
  postern_certificate_renewal_timestamp_seconds: { type: 'gauge', help: 'When a certificate is renewed, or its renewal is tried next, by its first name.', labels: ['name'] },
  postern_certificate_renewal_failures: { type: 'gauge', help: 'Failed renewals in a row, by the first name of the certificate.', labels: ['name'] },
  postern_self_warnings: { type: 'gauge', help: 'What the server finds wrong with itself and its surroundings, by check.', labels: ['check'] },
  postern_self_checked_timestamp_seconds: { type: 'gauge', help: 'When the server last looked at itself.', labels: [] },
  postern_http_requests_total: { type: 'counter', help: 'Requests to the API, by operation and class of the answer (2xx, 4xx, 5xx).', labels: ['operation', 'status'] },
  postern_http_request_seconds: { type: 'histogram', help: 'From a request to the API to its answer.', labels: [], bounds: ANSWER_SECONDS },
  postern_resident_memory_bytes: { type: 'gauge', help: 'Resident memory of the process.', labels: [] },
  postern_start_timestamp_seconds: { type: 'gauge', help: 'When the process started.', labels: [] },
} as const satisfies Record<string, Definition>;

export type MetricName = keyof typeof METRICS;

type HistogramState = { readonly counts: number[]; sum: number };

/** Plain data, for sending between threads. Series are keyed by their label values, joined by NUL. */
export type MetricsSnapshot = {
  readonly values: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly histograms: Readonly<Record<string, { readonly counts: readonly number[]; readonly sum: number }>>;
};

/** One thread's counts. */
export class Metrics {
  readonly #values = new Map<MetricName, Map<string, number>>();
  readonly #histograms = new Map<MetricName, HistogramState>();

  /** Adds to a counter or gauge; `labels` in the order of its definition. */
  add(name: MetricName, labels: readonly string[], by = 1): void {
    const series = this.#series(name);
    // Counted for every message: a join costs more than the count.
    const key = labels.length === 1 ? (labels[0] as string) : labels.join('\0');
    series.set(key, (series.get(key) ?? 0) + by);
  }

  set(name: MetricName, labels: readonly string[], value: number): void {
    this.#series(name).set(labels.join('\0'), value);
  }

  /** Notes one value of a histogram, in milliseconds (told to Prometheus in seconds). */
  observe(name: MetricName, valueMs: number): void {
    const bounds = boundsOf(name);
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) this.#histograms.set(name, (histogram = { counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 }));
    const seconds = valueMs / 1000;
    let at = 0;
    while (at < bounds.length && seconds > (bounds[at] as number)) at++;
    histogram.counts[at] = (histogram.counts[at] as number) + 1;
    histogram.sum += seconds;
  }

  snapshot(): MetricsSnapshot {
    const values = Object.fromEntries([...this.#values].map(([name, series]) => [name, Object.fromEntries(series)]));
    return { values, histograms: Object.fromEntries(this.#histograms) };
  }

  /** Adds another thread's snapshot. Gauges add up too: each thread tells its own share. */
  merge(snapshot: MetricsSnapshot): void {
    for (const [name, series] of Object.entries(snapshot.values)) {
      for (const [key, value] of Object.entries(series)) this.add(name as MetricName, key.split('\0'), value);
    }
    for (const [name, other] of Object.entries(snapshot.histograms)) {
      const own = this.#histograms.get(name as MetricName);
      if (own === undefined) {
        this.#histograms.set(name as MetricName, { counts: [...other.counts], sum: other.sum });
        continue;
      }
      other.counts.forEach((count, i) => (own.counts[i] = (own.counts[i] as number) + count));
      own.sum += other.sum;
    }
  }

  /** What stays true when a thread is gone: its counters and histograms, without its gauges. */
  mergeLasting(snapshot: MetricsSnapshot): void {
    const lasting = Object.entries(snapshot.values).filter(([name]) => METRICS[name as MetricName].type === 'counter');
    this.merge({ values: Object.fromEntries(lasting), histograms: snapshot.histograms });
  }

  /** The Prometheus text. Counters without series are told as 0 where they have no labels. */
  render(): string {
    return (Object.keys(METRICS) as MetricName[]).map((name) => this.#renderOne(name)).join('');
  }

  #series(name: MetricName): Map<string, number> {
    let series = this.#values.get(name);
    if (series === undefined) this.#values.set(name, (series = new Map()));
    return series;
  }

  #renderOne(name: MetricName): string {
    const { type, help, labels }: Definition = METRICS[name];
    const head = `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    if (type === 'histogram') return head + this.#renderHistogram(name);
    const series = [...(this.#values.get(name) ?? [])];
    if (series.length === 0 && labels.length === 0) return type === 'counter' ? `${head}${name} 0\n` : '';
    return series.length === 0 ? '' : head + series.map(([key, value]) => `${name}${labelText(labels, key)} ${value}\n`).join('');
  }

  #renderHistogram(name: MetricName): string {
    const bounds = boundsOf(name);
    const { counts, sum } = this.#histograms.get(name) ?? { counts: [], sum: 0 };
    let total = 0;
    let text = '';
    [...bounds, Infinity].forEach((bound, i) => {
      total += counts[i] ?? 0;
      text += `${name}_bucket{le="${bound === Infinity ? '+Inf' : bound}"} ${total}\n`;
    });
    return `${text}${name}_sum ${sum}\n${name}_count ${total}\n`;
  }
}

function boundsOf(name: MetricName): readonly number[] {
  const { bounds }: Definition = METRICS[name];
  if (bounds === undefined) throw new TypeError(`${name} is no histogram`);
  return bounds;
}

function labelText(labels: readonly string[], key: string): string {
  if (labels.length === 0) return '';
  const values = key.split('\0');
  return `{${labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`).join(',')}}`;
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === '\n' ? '\\n' : `\\${character}`));
}
