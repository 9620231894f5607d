// /v1/domains: the domains this server sends for, and those it receives for, with the DNS records that they need.

import { z } from 'zod';
import { domainName, projectName } from '#http/fields.ts';
import { DOMAIN, DOMAIN_CHECK, DOMAIN_DETAIL, checkView, detailView, domainView } from '#http/views/domain.ts';
import type { DomainDetail, DomainService } from '#http/views/domain.ts';
import { sees } from '#http/identity.ts';
import type { Identity } from '#http/identity.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { notFound, outsideProject, refusing } from '#http/problem.ts';

const LABEL = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'one label of letters, digits and dashes, like bounce');
const NEW = z.strictObject({
  name: domainName,
  inbound: z.boolean().default(false).describe('whether its mail is taken on port 25'),
  returnPath: LABEL.optional().describe('the label under the domain that bounces come back to; `bounce` unless told'),
  project: projectName.nullable().optional().describe('the project that may send as it; null: none in particular'),
});

const STEP = z.strictObject({
  step: z.enum(['start', 'confirm', 'cancel']).default('start').describe('`start` makes new keys to be published, `confirm` uses them on your word, `cancel` drops them'),
});
const NAMED = z.object({ name: domainName });

export function domainOperations(domains: () => DomainService): readonly Operation[] {
  const own = async (name: string, identity: Identity): Promise<DomainDetail> => {
    const detail = await domains().show(name);
    if (detail === null || !sees(identity, detail.domain.project)) throw noDomain(name);
    return detail;
  };
  return [
    operation({
      method: 'GET',
      path: '/v1/domains',
      id: 'listDomains',
      tag: 'Domains',
      summary: 'The domains, and how their records stand',
      scope: 'domains:read',
      answer: z.object({ domains: z.array(DOMAIN) }),
      run: async ({ identity }) => ({ domains: (await domains().list()).filter((domain) => sees(identity, domain.project)).map(domainView) }),
    }),
    operation({
      method: 'POST',
      path: '/v1/domains',
      id: 'addDomain',
      tag: 'Domains',
      summary: 'Add a domain: its keys are made, and the records to publish told',
      description: 'One that is there already keeps its keys, becomes `inbound` if that is said, and never loses it.',
      scope: 'domains:write',
      body: NEW,
      answer: DOMAIN_DETAIL,
      status: 201,
      example: { body: { name: 'example.com' } },
      run: async ({ body, identity }) => {
        if (identity.project !== null) throw operatorsMatter(identity.project);
        return detailView(await domains().add(body));
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/domains/{name}',
      id: 'getDomain',
      tag: 'Domains',
      summary: 'One domain with its keys and the records to publish',
      scope: 'domains:read',
      params: NAMED,
      answer: DOMAIN_DETAIL,
      refusals: [404],
      example: { params: { name: 'example.com' } },
      run: async ({ params: { name }, identity }) => detailView(await own(name, identity)),
    }),
    operation({
      method: 'POST',
      path: '/v1/domains/{name}/check',
      id: 'checkDomain',
      tag: 'Domains',
      summary: 'Look at the live DNS: which records are right, what is wrong with the others, and how it is mended',
      description: 'Keys that are published begin to sign, and the return path is used once it is right; `changes` tells what followed.',
      scope: 'domains:write',
      params: NAMED,
      answer: DOMAIN_CHECK,
      refusals: [404],
      example: { params: { name: 'example.com' } },
      run: async ({ params: { name }, identity }) => {
        await own(name, identity);
        const check = await domains().check(name);
        if (check === null) throw noDomain(name);
        return checkView(check);
      },
    }),
    operation({
      method: 'POST',
      path: '/v1/domains/{name}/rotate',
      id: 'rotateDomain',
      tag: 'Domains',
      summary: 'Change the signing keys, a step at a time',
      scope: 'domains:write',
      params: NAMED,
      body: STEP,
      answer: DOMAIN_DETAIL,
      refusals: [404, 409],
      example: { params: { name: 'example.com' }, body: { step: 'start' } },
      audit: ({ params: { name }, body: { step } }) => `${name} ${step}`,
      run: async ({ params: { name }, body: { step }, identity }) => {
        await own(name, identity);
        const detail = await refusing(() => domains().rotate(name, step), { status: 409, title: 'Not possible now' });
        if (detail === null) throw noDomain(name);
        return detailView(detail);
      },
    }),
    operation({
      method: 'DELETE',
      path: '/v1/domains/{name}',
      id: 'removeDomain',
      tag: 'Domains',
      summary: 'Remove a domain; its keys go with it',
      scope: 'domains:write',
      params: NAMED,
      answer: z.object({ name: z.string(), removed: z.literal(true) }),
      refusals: [404],
      example: { params: { name: 'example.com' } },
      run: async ({ params: { name }, identity }) => {
        await own(name, identity);
        if (identity.project !== null) throw operatorsMatter(identity.project);
        if (!(await domains().remove(name))) throw noDomain(name);
        return { name, removed: true as const };
      },
    }),
  ];
}

function noDomain(name: string): Error {
  return notFound(`domain "${name}"`, 'List the ones there are with: postern domain list');
}

function operatorsMatter(project: string): Error {
  return outsideProject(
    `Which domains the project "${project}" has is the operator's to say.`,
    'Use a token without a project, or on the server: postern domain add NAME --project PROJECT',
  );
}
