// The records of a message as answers show them: envelope, recipients, outcomes, events. The compiler holds them against the records of the queue.

import { z } from 'zod';
import { time } from '#http/fields.ts';

export const STATUSES = ['queued', 'delivered', 'deferred', 'bounced', 'expired', 'captured', 'cancelled', 'held', 'partial'] as const;
export const STATES = ['ready', 'leased', 'deferred', 'held', 'captured'] as const;

const address = z.object({ local: z.string(), domain: z.string(), text: z.string() }).meta({ id: 'Address' });
const notify = z.object({ success: z.boolean(), failure: z.boolean(), delay: z.boolean() }).nullable();
const orcpt = z.object({ type: z.string(), value: z.string() }).nullable();

const SECURITY = z
  .object({
    policy: z.string().describe('what decided: `dane`, `mta-sts`, `mta-sts-testing`, `configured`, `requiretls`, `tls-optional`, `opportunistic`, or `route`'),
    required: z.string().describe('`off`, `opportunistic`, `encrypted`, `verified` or `dane`'),
    why: z.string(),
    protocol: z.string().nullable().describe('null: without TLS, or there was no connection'),
    cipher: z.string().nullable(),
    certificate: z.enum(['matched', 'verified', 'unverified', 'none']),
    verdict: z.string(),
  })
  .meta({ id: 'Security', description: 'How the connection of an attempt was secured, and by whose wish.' });

export const OUTCOME = z
  .object({
    verdict: z.enum(['delivered', 'deferred', 'bounced', 'expired', 'captured']),
    scope: z.enum(['recipient', 'message', 'host', 'lane', 'local']).describe('which part of the world it speaks of'),
    code: z.int().describe('of the SMTP reply; 0 without one'),
    enhanced: z.string(),
    text: z.string(),
    said: z.string().optional().describe('the last reply of the other side, where the text is about something else'),
    class: z.string().describe('a stable word, see docs/failures.md'),
    cause: z.string(),
    fix: z.string(),
    route: z.string(),
    remoteHost: z.string().nullable(),
    remoteAddress: z.string().nullable(),
    remotePort: z.int().nullable(),
    tls: z.string().nullable(),
    security: SECURITY.optional(),
    possibleDuplicate: z.boolean().describe('the connection dropped after the final dot: the receiver may have it'),
    startedAt: time,
    durationMs: z.number(),
  })
  .meta({ id: 'Outcome', description: 'What one attempt came to for one recipient.' });

const DKIM = z.object({
  result: z.string(),
  domain: z.string().nullable(),
  selector: z.string().nullable(),
  algorithm: z.string().nullable(),
  mark: z.string().nullable(),
  reason: z.string(),
});
const DMARC = z.object({
  result: z.enum(['none', 'pass', 'fail', 'temperror', 'permerror']),
  domain: z.string().nullable(),
  policyDomain: z.string().nullable(),
  policy: z.enum(['none', 'quarantine', 'reject']).nullable(),
  testing: z.boolean(),
  by: z.enum(['dkim', 'spf']).nullable(),
  reason: z.string(),
});
const AUTHENTICATION = z
  .object({
    spf: z.object({
      result: z.enum(['none', 'neutral', 'pass', 'fail', 'softfail', 'temperror', 'permerror']),
      identity: z.enum(['mailfrom', 'helo']),
      domain: z.string(),
      reason: z.string(),
    }),
    dkim: z.array(DKIM),
    dmarc: DMARC,
    arc: z.object({ result: z.enum(['none', 'pass', 'fail']), instance: z.int(), sealer: z.string().nullable(), reason: z.string() }),
    disposition: z.enum(['accepted', 'quarantined', 'rejected', 'deferred']),
    why: z.string(),
  })
  .meta({ id: 'Authentication', description: 'What SPF, DKIM, DMARC and ARC said of mail by port 25, and what became of it.' });

export const ENVELOPE = z
  .object({
    id: z.string(),
    from: address.nullable().describe('null: the null reverse-path'),
    acceptedAt: time,
    expiresAt: time,
    warnAt: time.nullable(),
    sizeBytes: z.int(),
    eightBit: z.boolean(),
    smtpUtf8: z.boolean(),
    utf8Header: z.boolean().optional(),
    requireTls: z.boolean(),
    tlsOptional: z.boolean().optional(),
    bounceDomain: z.string().optional(),
    ret: z.enum(['full', 'hdrs']).nullable(),
    envid: z.string().nullable(),
    kind: z.enum(['mail', 'dsn']),
    mode: z.enum(['live', 'sandbox']),
    origin: z.object({
      profile: z.enum(['mx', 'submissions', 'submission', 'alternate', 'api', 'local']),
      clientAddress: z.string(),
      helo: z.string(),
      tls: z.string().nullable(),
      credential: z.string().nullable(),
      project: z.string().optional(),
    }),
    authentication: AUTHENTICATION.optional(),
    subject: z.string(),
    messageIdHeader: z.string(),
  })
  .meta({ id: 'Envelope' });

export const QUEUE_ROW = z
  .object({
    id: z.string(),
    n: z.int().describe('counts the recipients of a message from 0'),
    from: z.string(),
    to: z.string(),
    lane: z.string(),
    state: z.enum(STATES),
    attempts: z.int(),
    acceptedAt: time,
    nextAt: time.nullable(),
    backOffCause: z.string().nullable().describe('why its lane is left alone at present'),
    expiresAt: time,
    sizeBytes: z.int(),
    subject: z.string(),
    credential: z.string().nullable(),
    lastOutcome: OUTCOME.nullable(),
  })
  .meta({ id: 'QueueRow', description: 'A recipient that waits, or is captured.' });

export const LANE = z
  .object({
    lane: z.string(),
    ready: z.int(),
    leased: z.int(),
    deferred: z.int(),
    held: z.int(),
    oldestAt: time.nullable(),
    nextAt: time.nullable(),
    backOffUntil: time.nullable(),
    backOffCause: z.string().nullable(),
    onHold: z.boolean(),
  })
  .meta({ id: 'Lane', description: 'What waits for one destination.' });

export const TRANSCRIPT = z
  .object({
    startedAt: time.describe('as the outcome has it'),
    recipients: z.array(z.int()).describe('the numbers of the recipients it was for'),
    remoteHost: z.string(),
    remoteAddress: z.string().nullable(),
    remotePort: z.int().nullable(),
    entries: z.array(
      z.object({
        atMs: z.number().describe('since the connection was begun; one that served other messages before is older'),
        direction: z.enum(['>', '<', '*']).describe('`>` we said, `<` they said, `*` something happened'),
        text: z.string(),
      }),
    ),
  })
  .meta({ id: 'Transcript', description: 'What was said at one attempt, secrets removed; the content is told by its size.' });

export const MESSAGE_ROW = z
  .object({
    id: z.string(),
    acceptedAt: time,
    from: z.string(),
    to: z.array(z.string()),
    subject: z.string(),
    messageIdHeader: z.string(),
    sizeBytes: z.int(),
    credential: z.string().nullable(),
    project: z.string().nullable(),
    profile: z.string(),
    kind: z.enum(['mail', 'dsn']),
    mode: z.enum(['live', 'sandbox']),
    status: z.enum(STATUSES).describe("the recipients' status when they agree; while some wait, theirs; else `partial`"),
    updatedAt: time,
  })
  .meta({ id: 'MessageRow' });

export const MESSAGE = MESSAGE_ROW.extend({
  envelope: ENVELOPE,
  recipients: z.array(
    z.object({
      n: z.int(),
      to: z.string(),
      via: z.string().optional().describe('the address here that it stands for, of mail that is passed on'),
      notify: notify.optional(),
      orcpt: orcpt.optional(),
      status: z.enum(STATUSES),
      attempts: z.int(),
      nextAt: time.nullable(),
      lastOutcome: OUTCOME.nullable(),
    }),
  ),
  events: z
    .array(
      z.object({
        seq: z.int(),
        at: time,
        type: z.enum(['accepted', 'delivered', 'deferred', 'bounced', 'expired', 'captured', 'held', 'released', 'cancelled', 'retried', 'returned']),
        n: z.int().nullable(),
        outcome: OUTCOME.nullable(),
        nextAt: time.nullable(),
      }),
    )
    .describe('oldest first, bounded'),
}).meta({ id: 'Message' });
