// When to try again, when to warn, when to give up: pure functions of attempts, time and chance.

/** `[queue]` of the configuration, in milliseconds. `jitter` is the share (0 to 1) by which a delay may vary either way. */
export type RetryPolicy = {
  readonly maxAgeMs: number;
  readonly delayWarningMs: number | null;
  readonly firstMs: number;
  readonly factor: number;
  readonly maxMs: number;
  readonly jitter: number;
};
