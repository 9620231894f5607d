// /v1/webhooks: where events are told. A token of a project sees and makes webhooks of its project only, and they are told of its mail only.

import { z } from 'zod';
import type { EventType } from '#events/event.ts';
import type { WebhookService, WebhookState } from '#events/webhook/service.ts';
import type { DeliveryRow } from '#store/webhook-queue.ts';
import { limit } from '#http/fields.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Frozen, Operation } from '#http/operation.ts';
import { notFound, refusing } from '#http/problem.ts';
import { CHANGE, DELIVERY, ENABLE, MADE, NEW, REPLAY, ROTATE, TESTED, WEBHOOK } from '#http/views/webhook.ts';
import type { DeliveryView, WebhookView } from '#http/views/webhook.ts';
import { toWire, withoutUndefined } from '#http/wire.ts';

const BY_ID = z.object({ id: z.string().max(64) });
const HOUR_MS = 3_600_000;
const INVALID = { status: 422, title: 'Invalid request' } as const;

export function webhookOperations(service: () => WebhookService): readonly Operation[] {
  const read = { tag: 'Webhooks', scope: 'webhooks:read' } as const;
  const write = { tag: 'Webhooks', scope: 'webhooks:write' } as const;
  const example = { params: { id: 'wh_abcdefghijkm' } };
  return [
    operation({
      ...read,
      method: 'GET',
      path: '/v1/webhooks',
      id: 'listWebhooks',
      summary: 'The webhooks, and how they stand',
      answer: z.object({ webhooks: z.array(WEBHOOK) }),
      run: ({ identity }) => ({
        webhooks: service()
          .list()
          .filter(({ project }) => sees(identity, project))
          .map(view),
      }),
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks',
      id: 'addWebhook',
      summary: 'Have events told to a URL',
      description: 'From now on; each request is signed as Standard Webhooks prescribes. The secret is told this once.',
      body: NEW,
      answer: MADE,
      status: 201,
      example: { body: { url: 'https://app.example.com/hooks/mail', types: ['message.delivered', 'message.bounced'] } },
      run: async ({ body, identity }) => {
        const { webhook, secret } = await refusing(() => service().add({ ...body, project: identity.project ?? body.project, createdBy: identity.name }), INVALID);
        return { ...view(webhook), secret };
      },
    }),
    operation({
      ...read,
      method: 'GET',
      path: '/v1/webhooks/{id}',
      id: 'getWebhook',
      summary: 'One webhook',
      params: BY_ID,
      answer: WEBHOOK,
      refusals: [404],
      example,
      run: ({ params: { id }, identity }) => view(found(service(), id, identity)),
    }),
    operation({
      ...write,
      method: 'PATCH',
      path: '/v1/webhooks/{id}',
      id: 'changeWebhook',
      summary: 'Change where, what, and how many at once',
      params: BY_ID,
      body: CHANGE,
      answer: WEBHOOK,
      refusals: [404],
      example: { ...example, body: { types: ['message.bounced'] } },
      run: async ({ params: { id }, body, identity }) => {
        const before = found(service(), id, identity);
        return view((await refusing(() => service().change(id, withoutUndefined(body)), INVALID)) ?? before);
      },
    }),
    operation({
      ...write,
      method: 'DELETE',
      path: '/v1/webhooks/{id}',
      id: 'removeWebhook',
      summary: 'Remove a webhook, with what waits for it',
      params: BY_ID,
      answer: z.object({ id: z.string(), removed: z.literal(true) }),
      refusals: [404],
      example,
      run: async ({ params: { id }, identity }) => {
        found(service(), id, identity);
        await service().remove(id);
        return { id, removed: true as const };
      },
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks/{id}/test',
      id: 'testWebhook',
      summary: 'Send a test event now, once, and see what it says',
      params: BY_ID,
      answer: TESTED,
      refusals: [404],
      example,
      run: async ({ params: { id }, identity }) => {
        found(service(), id, identity);
        return (await service().test(id)) ?? nothing(id);
      },
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks/{id}/rotate',
      id: 'rotateWebhook',
      summary: 'A new secret; the old one signs too, for a while',
      params: BY_ID,
      body: ROTATE,
      answer: MADE,
      refusals: [404],
      example: { ...example, body: { overlapHours: 24 } },
      run: ({ params: { id }, body, identity }) => {
        found(service(), id, identity);
        const rotated = service().rotate(id, body.overlapHours * HOUR_MS) ?? nothing(id);
        return { ...view(rotated.webhook), secret: rotated.secret };
      },
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks/{id}/enable',
      id: 'enableWebhook',
      summary: 'Tell it again of what happens, from where it stopped',
      params: BY_ID,
      body: ENABLE,
      answer: WEBHOOK,
      refusals: [404],
      example: { ...example, body: {} },
      run: ({ params: { id }, body, identity }) => {
        found(service(), id, identity);
        return view(service().enable(id, body) ?? nothing(id));
      },
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks/{id}/disable',
      id: 'disableWebhook',
      summary: 'Tell it nothing until it is enabled',
      params: BY_ID,
      answer: WEBHOOK,
      refusals: [404],
      example,
      run: ({ params: { id }, identity }) => {
        found(service(), id, identity);
        return view(service().disable(id, `Disabled by ${identity.name}.`) ?? nothing(id));
      },
    }),
    operation({
      ...write,
      method: 'POST',
      path: '/v1/webhooks/{id}/replay',
      id: 'replayWebhook',
      summary: 'Tell events again: those with these ids, or of a time',
      description: 'With the ids they had, so that a receiver that has taken them knows them again. Of a time they come after what is new.',
      params: BY_ID,
      body: REPLAY,
      answer: z.object({ id: z.string(), events: z.int().nullable().describe('how many were found; null: it is found out as it goes') }),
      status: 202,
      refusals: [404],
      example: { ...example, body: { since: '2h' } },
      run: ({ params: { id }, body, identity }) => {
        found(service(), id, identity);
        const { events } = service().replay(id, { events: body.events, sinceMs: body.since, untilMs: body.until, types: body.types as EventType[] | undefined }) ?? nothing(id);
        return { id, events };
      },
    }),
    operation({
      ...read,
      method: 'GET',
      path: '/v1/webhooks/{id}/deliveries',
      id: 'listWebhookDeliveries',
      summary: 'The last attempts, newest first: what was told, what came back',
      description: 'About a thousand are kept of each webhook.',
      params: BY_ID,
      query: z.strictObject({ before: z.coerce.number().int().min(1).optional().describe('the value of "next"'), limit }),
      answer: z.object({ deliveries: z.array(DELIVERY), next: z.int().nullable() }),
      refusals: [404],
      example,
      run: ({ params: { id }, query, identity }) => {
        found(service(), id, identity);
        const rows = service().deliveries(id, { limit: query.limit, ...(query.before === undefined ? {} : { before: query.before }) });
        return { deliveries: rows.map(deliveryView), next: rows.length === query.limit ? (rows.at(-1)?.key ?? null) : null };
      },
    }),
  ];
}

function found(service: WebhookService, id: string, identity: Identity): WebhookState {
  const webhook = service.show(id);
  return webhook === null || !sees(identity, webhook.project) ? nothing(id) : webhook;
}

function nothing(id: string): never {
  throw notFound(`webhook ${id}`, 'List the ones there are with: postern webhook list');
}

function view({ failingSinceMs, types, ...webhook }: WebhookState): Frozen<WebhookView> {
  return { ...toWire(webhook), types: types as EventType[] | null, failingSince: failingSinceMs === null ? null : new Date(failingSinceMs).toISOString() };
}

function deliveryView(row: DeliveryRow): Frozen<DeliveryView> {
  return toWire(row);
}
