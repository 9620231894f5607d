// /v1/advise: which port, which encryption, and a configuration that requires it; and what the advisor knows.

import { z } from 'zod';
import { LIBRARIES } from '#knowledge/libraries.ts';
import { PROVIDERS } from '#knowledge/providers.ts';
import { outOfScope } from '#http/call.ts';
import { operation } from '#http/operation.ts';
import type { Operation } from '#http/operation.ts';
import { refusing } from '#http/problem.ts';
import { opens } from '#http/scopes.ts';
import { ADVICE, ASK, LIBRARY, PROVIDER } from '#http/views/advice.ts';
import type { AdviceService } from '#http/views/advice.ts';

export function adviseOperations(advise: () => AdviceService): readonly Operation[] {
  return [
    operation({
      method: 'POST',
      path: '/v1/advise',
      id: 'advise',
      tag: 'Doctor',
      summary: 'Which port and encryption to use, and a configuration for a library that requires it',
      scope: 'known',
      body: ASK,
      answer: ADVICE,
      refusals: [403],
      example: { body: { library: 'nodemailer', username: 'shop' } },
      audit: false,
      run: async ({ body, identity }) => {
        if (body.probe && !(opens(identity.scopes, 'doctor:run') && identity.project === null)) throw outOfScope('doctor:run');
        return refusing(() => advise()(body), { status: 422, title: 'Invalid request' });
      },
    }),
    operation({
      method: 'GET',
      path: '/v1/advise/libraries',
      id: 'listLibraries',
      tag: 'Doctor',
      summary: 'The libraries and programs that the advisor has configurations for',
      scope: 'known',
      answer: z.object({ libraries: z.array(LIBRARY) }),
      run: () => ({ libraries: LIBRARIES.map(({ id, name, language, aliases = [] }) => ({ id, name, language, aliases })) }),
    }),
    operation({
      method: 'GET',
      path: '/v1/advise/providers',
      id: 'listProviders',
      tag: 'Doctor',
      summary: 'The mail services that the advisor knows, with their hosts and ports',
      scope: 'known',
      answer: z.object({ providers: z.array(PROVIDER) }),
      run: () => ({
        providers: PROVIDERS.map(({ id, name, host, ports, aliases = [] }) => ({ id, name, host, ports: ports.map(({ port, tls }) => ({ port, tls })), aliases })),
      }),
    }),
  ];
}
