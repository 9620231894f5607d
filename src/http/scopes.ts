// What a token or a person may do: one word each, with what it opens. `x:write` opens `x:read` too; `admin` opens everything.

export const SCOPES = {
  'messages:send': 'send messages',
  'messages:read': 'search messages and see what became of them, their content and transcripts',
  'queue:read': 'see the queue and its lanes',
  'queue:write': 'retry, hold, release and cancel',
  'credentials:read': 'list credentials, without their passwords',
  'credentials:write': 'make, rotate and revoke credentials',
  'domains:read': 'see domains, their records and how they stand',
  'domains:write': 'add, check, rotate and remove domains',
  'suppressions:read': 'see which addresses get no mail',
  'suppressions:write': 'add and remove such addresses',
  'webhooks:read': 'see webhooks and their deliveries',
  'webhooks:write': 'add, change, test, replay and remove webhooks',
  'events:read': 'read events, also as they happen',
  'statistics:read': 'read statistics',
  'doctor:run': 'run the doctor and the advisor, and read reports',
  'server:read': 'see routes, certificates, TLS policies and reports',
  'server:write': 'renew certificates, send TLS reports, reload the configuration',
  'tokens:read': 'list tokens, without their secrets',
  'tokens:write': 'make and revoke tokens, with no more scopes than their maker has',
  'people:read': 'list who may sign in',
  'people:write': 'let people in and out, with no more scopes than whoever does it',
  'audit:read': 'read who changed what',
  admin: 'everything',
} as const;

export type Scope = keyof typeof SCOPES;

export const SCOPE_NAMES = Object.keys(SCOPES) as [Scope, ...Scope[]];

/** Whether these scopes open what needs `wanted`. */
export function opens(scopes: readonly Scope[], wanted: Scope): boolean {
  return scopes.some((scope) => scope === wanted || scope === 'admin' || (wanted.endsWith(':read') && scope === `${wanted.slice(0, -5)}:write`));
}

/** The scopes that a maker may not hand on, because it does not have them. */
export function beyond(scopes: readonly Scope[], wanted: readonly Scope[]): readonly Scope[] {
  return wanted.filter((scope) => !opens(scopes, scope));
}
