// Mail that the server itself sends from the main thread: signed when its From header is of a domain of ours, put into the queue like any other.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { openMessageIds } from '#base/id.ts';
import type { Log } from '#base/log.ts';
import type { Vault } from '#base/vault.ts';
import type { Config } from '#config/config.ts';
import { openRoutes } from '#deliver/route.ts';
import { openSigning } from '#mail/dkim/signing.ts';
import { ownPen } from '#mail/dkim/pen.ts';
import type { StoreHost } from '#store/open.ts';
import { openSignatories, signatureLifetimeMs } from './signatories.ts';
import type { TlsReportParts } from './tls-reports.ts';

export type OwnMail = Pick<TlsReportParts, 'newId' | 'accept' | 'isKnown' | 'sign' | 'laneFor'>;

export async function openOwnMail(parts: { config: () => Config; store: StoreHost; generation: Int32Array; vault: Vault; log: Log }): Promise<OwnMail> {
  const { config, store, generation, vault, log } = parts;
  const signatories = await openSignatories({ directory: store.directory, generation, vault, log });
  const signing = openSigning({
    find: (domain) => signatories.find(domain),
    pen: ownPen,
    lifetimeMs: () => signatureLifetimeMs(config().queue.maxAgeMs),
  });
  return {
    newId: openMessageIds(),
    accept: (message) => store.accept(message),
    async isKnown(id) {
      await store.flushHistory();
      return (await store.admin.show(id)) !== null || (await store.history.show(id)) !== null;
    },
    async sign(chunks, nowMs) {
      signatories.refresh();
      await nextTurn();
      return signing.signWhole(chunks, nowMs);
    },
    laneFor: (domain) => openRoutes(config().routes).laneFor(domain, 'live'),
  };
}
