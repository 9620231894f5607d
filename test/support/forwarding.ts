// Forwarding for units that are handed one: without rows unless the test has some.

import { systemClock } from '#base/clock.ts';
import { openForwarding } from '#intake/forward.ts';
import type { ForwardParts, Forwarding } from '#intake/forward.ts';
import { openSrs } from '#mail/identity/srs.ts';

export function plainForwarding(parts: Partial<ForwardParts> = {}): Forwarding {
  return openForwarding({
    table: () => [],
    settings: () => ({ srs: true, srsDomain: null, seal: true }),
    isLocal: (domain) => domain === 'local.example',
    wayOf: (domain) => ({ leaves: domain !== 'local.example', srs: false }),
    srs: openSrs(Buffer.alloc(32, 1)),
    sealer: () => null,
    clock: systemClock,
    ...parts,
  });
}
