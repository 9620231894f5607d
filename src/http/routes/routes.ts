// /v1/routes: the ways that mail goes, as the configuration has them, and which one a recipient would take.

import { z } from 'zod';
import { openRoutes } from '#deliver/route.ts';
import type { Route } from '#deliver/route.ts';
import type { PolicyView } from '#deliver/policy-view.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { ProblemError } from '#http/problem.ts';
import { canonicalDomain, parseMailbox } from '#smtp/address.ts';
import type { Demand } from '#tls/policy.ts';

const ROUTE = z
  .object({
    match: z.string(),
    type: z.enum(['mx', 'smarthost', 'lmtp', 'webhook', 'capture']),
    name: z.string(),
    to: z.string().nullable().describe('the host, socket or URL that it hands over to; null: the mail hosts of the domain, or nobody'),
    ports: z.array(z.int()),
    login: z.boolean().describe('whether it logs in there'),
  })
  .meta({ id: 'Route' });

const ASK = z.strictObject({ to: z.string().min(1).max(320).describe('an address, or a domain'), mode: z.enum(['live', 'sandbox']).default('live') });

const ANSWER = z.object({
  to: z.string(),
  domain: z.string(),
  route: ROUTE,
  lane: z.string().describe('that it waits in at first'),
  captured: z.boolean().describe('kept for viewing, never sent'),
  hosts: z.array(z.object({ host: z.string(), preference: z.int(), required: z.string().nullable(), refused: z.string().nullable() })).describe('of a route `mx`, the best first'),
  refusal: z.object({ class: z.string(), cause: z.string(), fix: z.string() }).nullable().describe('why nothing can be delivered there'),
});

export type RouteParts = { readonly routes: () => readonly Route[]; readonly policy: (domain: string, demand: Demand) => Promise<PolicyView> };

export function routeOperations({ routes, policy }: RouteParts): readonly Operation[] {
  return [
    operation({
      method: 'GET',
      path: '/v1/routes',
      id: 'listRoutes',
      tag: 'Server',
      summary: 'The routes of the configuration; the first that matches is taken, and without a match mail goes to the MX hosts',
      scope: 'server:read',
      answer: z.object({ routes: z.array(ROUTE) }),
      run: () => ({ routes: routes().map(routeView) }),
    }),
    operation({
      method: 'POST',
      path: '/v1/routes/test',
      id: 'testRoute',
      tag: 'Server',
      summary: 'Where a recipient would go',
      description: 'The mail hosts are looked up now; nothing is connected to.',
      scope: 'server:read',
      body: ASK,
      answer: ANSWER,
      example: { body: { to: 'friend@example.net' } },
      audit: false,
      run: async ({ body: { to, mode } }) => {
        const domain = parseMailbox(to.trim())?.domain ?? canonicalDomain(to.trim().replace(/^@/, ''));
        if (domain === null) throw noRecipient(to);
        const table = openRoutes(routes());
        const route = table.match(domain);
        const captured = mode === 'sandbox' || route.type === 'capture';
        const found = captured || route.type !== 'mx' ? null : await policy(domain, 'policy');
        const hosts = (found?.hosts ?? []).map(({ host, preference, required, refused }) => ({ host, preference, required, refused: refused?.cause ?? null }));
        return { to, domain, route: routeView(route), lane: table.laneFor(domain, mode), captured, hosts, refusal: found?.refusal ?? null };
      },
    }),
  ];
}

function routeView(route: Route): z.output<typeof ROUTE> {
  const { match, type, name } = route;
  const none = { match, type, name, to: null, ports: [], login: false };
  switch (route.type) {
    case 'smarthost':
      return { ...none, to: route.host, ports: [...route.ports], login: route.username !== null };
    case 'lmtp':
      return { ...none, to: route.socket ?? route.host, ports: route.port === null ? [] : [route.port] };
    case 'webhook':
      // What follows the host may be a secret of the application.
      return { ...none, to: new URL(route.url).origin };
    default:
      return none;
  }
}

function noRecipient(to: string): ProblemError {
  return new ProblemError({
    status: 422,
    title: 'Invalid request',
    code: 'invalid-request',
    cause: `to: "${to.slice(0, 100)}" is neither a mail address nor a domain.`,
    fix: 'Write it like friend@example.net, or example.net.',
  });
}
