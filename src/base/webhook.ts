// Signatures of webhooks as Standard Webhooks 1.0 prescribes them: HMAC-SHA-256 over id, time and content, one for each secret. Knows no HTTP.

import { createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'whsec_';
const [LEAST_BYTES, MOST_BYTES] = [24, 64];
const MAX_SECRETS = 3;
const NEW_BYTES = 32;
const MAX_RETRY_AFTER_MS = 86_400_000;

/** The secrets of a text, one a line (several while one is being changed): `whsec_` and base64 of 24 to 64 bytes. Null when it holds anything else. */
export function parseWebhookSecrets(text: string): readonly Buffer[] | null {
  const lines = text.split('\n').map((line) => line.trim());
  const secrets = lines.filter((line) => line !== '').map(parseSecret);
  const whole = secrets.filter((secret) => secret !== null);
  return whole.length > 0 && whole.length === secrets.length && whole.length <= MAX_SECRETS ? whole : null;
}

function parseSecret(line: string): Buffer | null {
  const text = line.startsWith(PREFIX) ? line.slice(PREFIX.length) : line;
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length >= LEAST_BYTES && bytes.length <= MOST_BYTES ? bytes : null;
}

/** A new secret, as it is shown: `whsec_` and base64. */
export function newWebhookSecret(): string {
  return `${PREFIX}${randomBytes(NEW_BYTES).toString('base64')}`;
}

/** Takes the content as it comes, and gives the value of `webhook-signature`. */
export type WebhookSigner = { update(chunk: Buffer): void; finish(): string };

export function openWebhookSigner(secrets: readonly Buffer[], { id, seconds }: { readonly id: string; readonly seconds: number }): WebhookSigner {
  const macs = secrets.map((secret) => createHmac('sha256', secret).update(`${id}.${seconds}.`));
  return {
    update(chunk) {
      for (const mac of macs) mac.update(chunk);
    },
    finish: () => macs.map((mac) => `v1,${mac.digest('base64')}`).join(' '),
  };
}

/** What an answer asks for in Retry-After, at most a day: seconds or a date (RFC 9110 10.2.3); null without one. */
export function retryAfterMs(value: string | null, nowMs: number): number | null {
  if (value === null) return null;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - nowMs;
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : null;
}
