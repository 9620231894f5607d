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

/** The delay after `attempts` attempts (at least 1): exponential, capped, then varied by chance (`random` in 0 to 1). */
export function backOffMs(policy: RetryPolicy, attempts: number, random: number): number {
  const exponent = Math.min(Math.max(attempts, 1) - 1, 60);
  const delayMs = Math.min(policy.firstMs * policy.factor ** exponent, policy.maxMs);
  return Math.max(1, Math.round(delayMs * (1 + policy.jitter * (2 * random - 1))));
}

/** The time of the next attempt, never behind expiry: the last one comes just before giving up. */
export function nextAttemptAtMs(policy: RetryPolicy, when: { attempts: number; expiresAtMs: number; nowMs: number; random: number }): number {
  const atMs = when.nowMs + backOffMs(policy, when.attempts, when.random);
  return atMs < when.expiresAtMs ? atMs : Math.max(when.expiresAtMs, when.nowMs + 1);
}

/** True once an undelivered recipient is to be given up. */
export function isExpired(expiresAtMs: number, nowMs: number): boolean {
  return nowMs >= expiresAtMs;
}

/** True when the sender should hear that delivery is delayed. */
export function isWarningDue(recipient: { warned: boolean }, warnAtMs: number | null, nowMs: number): boolean {
  return !recipient.warned && warnAtMs !== null && nowMs >= warnAtMs;
}
