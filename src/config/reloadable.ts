// Which properties of the configuration may change while the server runs. A test holds this list against the rows of schema.ts.

const RELOADABLE = [
  'limits',
  'routes',
  'tlsPolicies',
  'forwards',
  'forwarding',
  'domains',
  'inbound',
  'mtaSts.mode',
  'mtaSts.mx',
  'mtaSts.maxAgeMs',
  'tlsReports',
  'doctor',
  'http.corsOrigins',
  'http.trustedProxies',
  'http.requestsPerToken',
  'http.requestsPerAddress',
  'sendmail.credential',
  'queue.maxAgeMs',
  'queue.delayWarningMs',
  'queue.retry',
  'delivery.concurrencyPerLane',
  'delivery.concurrency',
  'delivery.messagesPerConnection',
  'delivery.idleTimeoutMs',
  'delivery.recipientsPerTransaction',
];

/** `path` is one of property names, like `limits.recipients`. */
export function isReloadable(path: string): boolean {
  return RELOADABLE.some((known) => path === known || path.startsWith(`${known}.`));
}
