// One call of an operation: who asks, whether that may be, whether what came is valid; then the operation runs, and what it changed goes to the
// audit log. Owns that order; what an operation does is its own.

import type { Context, Hono } from 'hono';
import { errorText } from '#base/failure.ts';
import type { Log } from '#base/log.ts';
import type { AuditStore } from '#store/audit.ts';
import { BODY_BYTES, mediaOf, readJson, unsupported } from './body.ts';
import { NOBODY, atSocket } from './identity.ts';
import type { Env, Identify, Identity } from './identity.ts';
import type { Call, Operation } from './operation.ts';
import type { Memory } from './memory.ts';
import { ProblemError, outsideProject, parseInput } from './problem.ts';
import type { Rates } from './rates.ts';
import { opens } from './scopes.ts';
import type { Scope } from './scopes.ts';

export type CallParts = {
  readonly identify: readonly Identify[];
  readonly audit: Pick<AuditStore, 'write'>;
  readonly rates: Rates;
  /** Requests a second that one token or person may make, unless it has a limit of its own. */
  readonly perSecond: () => number;
  /** One-way observer (metrics). */
  readonly observe: (operation: string, status: number, durationMs: number) => void;
  readonly log: Log;
  /** Of bodies of heavy operations. */
  readonly memory: Memory;
};

/** Puts the operations on the app, in their order. */
export function mount(app: Hono<Env>, operations: readonly Operation[], parts: CallParts): void {
  for (const operation of operations) {
    app.on(operation.method, operation.path.replaceAll(/\{(\w+)\}/g, ':$1'), (context) => observed(operation, context, parts));
  }
}

async function observed(operation: Operation, context: Context<Env>, parts: CallParts): Promise<Response> {
  const startMs = performance.now();
  let status = 500;
  try {
    const response = await handle(operation, context, parts);
    status = response.status;
    return response;
  } catch (error) {
    if (error instanceof ProblemError) status = error.problem.status;
    throw error;
  } finally {
    parts.observe(operation.id, status, performance.now() - startMs);
  }
}

async function handle(operation: Operation, context: Context<Env>, parts: CallParts): Promise<Response> {
  const identity = await identityOf(operation, context, parts);
  context.set('identity', identity);
  const { scope } = operation;
  if (scope !== 'open' && scope !== 'known' && !opens(identity.scopes, scope)) {
    if (changes(operation)) record(operation, context, parts, { target: pathTarget(context), status: 403 });
    throw outOfScope(scope);
  }
  if (identity.project !== null && /^(?:server|people):/.test(scope)) {
    record(operation, context, parts, { target: pathTarget(context), status: 403 });
    throw outsideProject('This is about the whole server, which is not the business of a project.', 'Use a token without a project.');
  }
  context.status(operation.status ?? 200);
  const held = operation.heavy === true ? parts.memory.take(announcedBytes(operation, context)) : null;
  const { call, answer } = await run(operation, context, identity)
    .catch((error: unknown) => {
      // What somebody may not do to this very thing is as telling as what they may not do at all.
      const refused = error instanceof ProblemError && error.problem.status === 403;
      if (refused && changes(operation)) record(operation, context, parts, { target: pathTarget(context), status: 403 });
      throw error;
    })
    .finally(() => held?.release());
  const response = answer instanceof Response ? answer : context.json(answer as object);
  if (changes(operation)) record(operation, context, parts, { target: targetOf(operation, call, context), status: response.status });
  return response;
}

async function identityOf(operation: Operation, context: Context<Env>, parts: CallParts): Promise<Identity> {
  if (context.env.access !== 'tcp') return atSocket(context);
  for (const identify of parts.identify) {
    const identity = await identify(context);
    if (identity === null) continue;
    const perSecond = identity.ratePerMinute === null ? parts.perSecond() : identity.ratePerMinute / 60;
    const burst = identity.ratePerMinute === null ? perSecond * 2 : Math.max(1, Math.min(identity.ratePerMinute, 60));
    const waitMs = parts.rates.take(`${identity.kind} ${identity.id ?? identity.name}`, { perSecond, burst });
    if (waitMs > 0) throw tooOften(waitMs, `"${identity.name}" has made more requests than it may`);
    return identity;
  }
  if (operation.scope === 'open') return NOBODY;
  throw unknown();
}

async function run(operation: Operation, context: Context<Env>, identity: Identity): Promise<{ call: Call<unknown, unknown, unknown>; answer: unknown }> {
  const { params, query, body, other = [] } = operation;
  const base = {
    params: params === undefined ? undefined : parseInput(params, context.req.param()),
    query: query === undefined ? undefined : parseInput(query, context.req.query()),
    identity,
    context,
  };
  const media = mediaOf(context);
  const way = other.find((one) => one.media === media);
  if (way !== undefined) {
    const call = { ...base, body: undefined };
    return { call, answer: await way.run(call) };
  }
  if (body === undefined && other.length > 0)
    throw unsupported(
      media === '' ? 'nothing' : media,
      other.map((one) => one.media),
    );
  const call = { ...base, body: body === undefined ? undefined : parseInput(body, await readJson(context, mostBytes(operation))) };
  return { call, answer: await operation.run(call) };
}

/** What the client says it sends, or the most that it may. */
function announcedBytes(operation: Operation, context: Context<Env>): number {
  const announced = Number(context.req.header('content-length') ?? Number.NaN);
  return Number.isSafeInteger(announced) ? Math.min(announced, mostBytes(operation)) : mostBytes(operation);
}

function mostBytes({ bodyBytes = BODY_BYTES }: Operation): number {
  return typeof bodyBytes === 'number' ? bodyBytes : bodyBytes();
}

function changes(operation: Operation): boolean {
  return operation.method !== 'GET' && operation.audit !== false;
}

function targetOf(operation: Operation, call: Call<unknown, unknown, unknown>, context: Context<Env>): string {
  if (typeof operation.audit === 'function') return operation.audit(call);
  const named = typeof call.body === 'object' && call.body !== null && 'name' in call.body && typeof call.body.name === 'string' ? call.body.name : '';
  return pathTarget(context) || named;
}

function pathTarget(context: Context<Env>): string {
  return Object.values(context.req.param()).join(' ');
}

/** What was done stays done when it cannot be written down. */
function record(operation: Operation, context: Context<Env>, parts: CallParts, { target, status }: { target: string; status: number }): void {
  const { kind, name, id, project } = context.get('identity');
  try {
    parts.audit.write({ kind, name, actorId: id, project, address: context.get('client') || null, action: operation.id, target: target.slice(0, 500), status });
  } catch (error) {
    parts.log.warn('http.audit-not-written', { operation: operation.id, cause: errorText(error) });
  }
}

export function tooOften(waitMs: number, cause: string): ProblemError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new ProblemError({
    status: 429,
    title: 'Too many requests',
    code: 'too-many-requests',
    cause: `${cause}.`,
    fix: `Wait ${seconds} ${seconds === 1 ? 'second' : 'seconds'} (Retry-After), then go on more slowly.`,
    headers: { 'retry-after': String(seconds) },
  });
}

function unknown(): ProblemError {
  return new ProblemError({
    status: 401,
    title: 'Not authorized',
    code: 'not-authorized',
    cause: 'The request does not say who is asking.',
    fix: 'Send a token: Authorization: Bearer pst_... Make one on the server with: postern token add NAME --scope SCOPE',
    headers: { 'www-authenticate': 'Bearer realm="postern"' },
  });
}

export function outOfScope(scope: Scope): ProblemError {
  return new ProblemError({
    status: 403,
    title: 'Not allowed',
    code: 'scope-missing',
    cause: `This needs the scope ${scope}, which whoever is asking does not have.`,
    fix: `Use a token that has it: postern token add NAME --scope ${scope}`,
    headers: { 'www-authenticate': `Bearer realm="postern", error="insufficient_scope", scope="${scope}"` },
  });
}
