// All animals of the zoo, group by group.

import type { Animal } from './animal.ts';
import { CERTIFICATES } from './animals/certificates.ts';
import { CONNECTIONS } from './animals/connections.ts';
import { DOMAINS } from './animals/domains.ts';
import { ENCRYPTION } from './animals/encryption.ts';
import { HEALTHY } from './animals/healthy.ts';
import { HOSTILE } from './animals/hostile.ts';
import { LIMITS } from './animals/limits.ts';
import { LOGINS } from './animals/logins.ts';
import { RELAYS } from './animals/relays.ts';

export const ANIMALS: readonly Animal[] = [...HEALTHY, ...CERTIFICATES, ...ENCRYPTION, ...RELAYS, ...LOGINS, ...CONNECTIONS, ...LIMITS, ...HOSTILE, ...DOMAINS];
