// One port of one address, from the TCP connection to AUTH: the evidence that the checks of a port judge. Each probe opens its own connection;
// nothing is sent after RCPT, and no password before TLS.

import { authenticate } from '#smtp/client-auth.ts';
import { capabilitiesOf } from '#smtp/client.ts';
import type { Capabilities, ClientFailure, RemoteReply } from '#smtp/client.ts';
import type { Transcript } from '#smtp/transcript.ts';
import type { TlsFacts } from './certificates.ts';
import { Conversation } from './conversation.ts';
import type { Place, ProbeOptions, Step, Timed } from './conversation.ts';
import { probeHandshakes } from './handshakes.ts';
import type { Handshakes } from './handshakes.ts';
import { probeInjection } from './injection.ts';
import type { Injection } from './injection.ts';
import { probeRelay } from './relay.ts';
import type { RelayTry } from './relay.ts';

export type Login = { readonly username: string; readonly password: string };

/** What a port is meant for. 25 and unknown ports speak first in the clear; 465 and ports made after it begin with TLS. */
export type Role = 'mx' | 'submissions' | 'submission' | 'unknown';

export type PortEvidence = Place & {
  readonly role: Role;
  readonly timeoutMs: number;
  readonly connect: Step<null>;
  /** The way TLS is had here, as far as it was found out. */
  readonly mode: 'implicit' | 'starttls' | 'none' | 'unknown';
  readonly greeting: Step<RemoteReply> | null;
  readonly ehlo: Step<RemoteReply> | null;
  readonly capabilities: Capabilities | null;
  readonly starttls: Step<RemoteReply> | null;
  readonly tls: Step<TlsFacts> | null;
  readonly ehloTls: Step<RemoteReply> | null;
  readonly capabilitiesTls: Capabilities | null;
  /** null: none was to be tried. Withheld: the certificate does not verify, so nobody knows who would get the password. */
  readonly login: Timed<ClientFailure | null> | { readonly withheld: string } | null;
  readonly handshakes: Handshakes | null;
  readonly injection: Injection | null;
  readonly relay: readonly RelayTry[] | null;
  /** The reply to connections that were too many at once. */
  readonly turnedAway: string | null;
  readonly transcript: Transcript;
  readonly totalMs: number;
};

/** `role` says what the port is for; an implicit port that speaks in the clear, or the reverse, is found out. */
export async function probePort(place: Place, role: Role, options: Options & { readonly relayTo: readonly string[] }): Promise<PortEvidence> {
  const startMs = performance.now();
  const session = await probeSession(place, role, options);
  const more = await probeMore(place, session, options);
  return { ...place, role: roleShown(role, session), timeoutMs: options.timeoutMs, ...session, ...more, totalMs: performance.now() - startMs };
}

/** From the connection to AUTH only, over one connection where the port is what its role says: what a client would see, and nothing that it would not do. */
export async function probeSession(place: Place, role: Role, options: Options): Promise<Session> {
  if (role === 'submissions') return probeImplicit(place, options);
  if (role !== 'unknown') return probePlain(place, role, options);
  // A port that says nothing of itself: a handshake that works decides, and a server that speaks in the clear fails it at once. One that takes no
  // connection is told in the time of one try.
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return { ...NOTHING, connect: opened, transcript: [] };
  const timer = setTimeout(() => opened.conversation.close(), LOOK_MS);
  const tls = await opened.conversation.secure();
  clearTimeout(timer);
  opened.conversation.close();
  return 'value' in tls ? probeImplicit(place, options) : probePlain(place, role, options);
}

const LOOK_MS = 2000;

/** On a port whose number says nothing, who offers logins takes mail from clients. */
function roleShown(role: Role, { mode, capabilities, capabilitiesTls }: Session): Role {
  if (role !== 'unknown' || ![capabilities, capabilitiesTls].some((offered) => offered !== null && offered.auth.length > 0)) return role;
  return mode === 'implicit' ? 'submissions' : 'submission';
}

export type Session = Omit<PortEvidence, keyof Place | 'role' | 'timeoutMs' | 'handshakes' | 'injection' | 'relay' | 'turnedAway' | 'totalMs'>;

const NOTHING: Omit<Session, 'connect' | 'transcript'> = {
  mode: 'unknown',
  greeting: null,
  ehlo: null,
  capabilities: null,
  starttls: null,
  tls: null,
  ehloTls: null,
  capabilitiesTls: null,
  login: null,
};

type Options = ProbeOptions & { readonly login: Login | null; /** Log in although the certificate does not verify. */ readonly insecure: boolean };

async function probeImplicit(place: Place, options: Options): Promise<Session> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return { ...NOTHING, connect: opened, transcript: [] };
  const { conversation } = opened;
  const connect = { value: null, ms: conversation.connectMs };
  const tls = await conversation.secure();
  if ('failure' in tls) {
    conversation.close();
    if (speaksTls(tls.failure)) return { ...NOTHING, connect, tls, transcript: conversation.transcript };
    // A server that speaks in the clear here answers a plain connection with a greeting.
    const plain = await probePlain(place, 'unknown', options);
    const speaks = plain.greeting !== null && 'value' in plain.greeting;
    return speaks ? { ...plain, tls } : { ...NOTHING, connect, tls, transcript: conversation.transcript };
  }
  const greeting = await conversation.greeting();
  const secured = 'failure' in greeting || greeting.value.code !== 220 ? {} : await afterTls(conversation, tls.value, options);
  conversation.quit();
  return { ...NOTHING, connect, mode: 'implicit', tls, greeting, ...secured, transcript: conversation.transcript };
}

/** Whether what came, though no handshake came about, was TLS. */
function speaksTls({ code }: ClientFailure): boolean {
  return code !== null && /^ERR_SSL_(?!WRONG_VERSION_NUMBER|RECORD_LAYER|PACKET_LENGTH|BAD_RECORD|UNEXPECTED|HTTP)/.test(code);
}

async function probePlain(place: Place, role: Role, options: Options): Promise<Session> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return { ...NOTHING, connect: opened, transcript: [] };
  const { conversation } = opened;
  const connect = { value: null, ms: conversation.connectMs };
  conversation.wire.attach();
  const greeting = await conversation.greeting();
  const base = { ...NOTHING, connect, greeting };
  const ended = (found: Partial<Session>): Session => {
    conversation.quit();
    return { ...base, ...found, transcript: conversation.transcript };
  };
  if ('failure' in greeting) {
    conversation.close();
    // Silence may mean that TLS is awaited.
    if (greeting.failure.kind === 'timeout' && role === 'submission') {
      const implicit = await tryImplicit(place, options);
      if (implicit !== null) return { ...base, mode: 'implicit', tls: implicit, transcript: conversation.transcript };
    }
    return { ...base, transcript: conversation.transcript };
  }
  if (greeting.value.code !== 220) return ended({});
  const ehlo = await ehloOf(conversation, options.helo);
  if (ehlo.capabilities === null) return ended({ ehlo: ehlo.step });
  const said = { ehlo: ehlo.step, capabilities: ehlo.capabilities };
  // Asked for where it is not offered: who grants it then has had it taken out of the answer on the way.
  if (!ehlo.capabilities.keywords.has('STARTTLS')) return ended({ ...said, mode: 'none', starttls: await conversation.say('STARTTLS', 'starttls') });
  const starttls = await conversation.say('STARTTLS', 'starttls');
  if ('failure' in starttls || starttls.value.code !== 220) return ended({ ...said, mode: 'starttls', starttls });
  conversation.wire.detach();
  const tls = await conversation.secure();
  if ('failure' in tls) {
    conversation.close();
    return { ...base, ...said, mode: 'starttls', starttls, tls, transcript: conversation.transcript };
  }
  return ended({ ...said, mode: 'starttls', starttls, tls, ...(await afterTls(conversation, tls.value, options)) });
}

async function tryImplicit(place: Place, options: ProbeOptions): Promise<Step<TlsFacts> | null> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return null;
  const tls = await opened.conversation.secure();
  opened.conversation.close();
  return 'value' in tls ? tls : null;
}

async function afterTls(conversation: Conversation, { problem }: TlsFacts, options: Options): Promise<Pick<Session, 'ehloTls' | 'capabilitiesTls' | 'login'>> {
  const { step, capabilities } = await ehloOf(conversation, options.helo);
  if (capabilities === null || options.login === null || capabilities.auth.length === 0) return { ehloTls: step, capabilitiesTls: capabilities, login: null };
  if (problem !== null && !options.insecure) return { ehloTls: step, capabilitiesTls: capabilities, login: { withheld: problem } };
  const startMs = performance.now();
  const refused = await authenticate(conversation.wire, options.login, { offered: capabilities.auth, timeoutMs: options.timeoutMs });
  return { ehloTls: step, capabilitiesTls: capabilities, login: { value: refused, ms: performance.now() - startMs } };
}

async function ehloOf(conversation: Conversation, helo: string): Promise<{ step: Step<RemoteReply>; capabilities: Capabilities | null }> {
  const step = await conversation.say(`EHLO ${helo}`, 'ehlo');
  return { step, capabilities: 'value' in step && step.value.code === 250 ? capabilitiesOf(step.value) : null };
}

type More = Pick<PortEvidence, 'handshakes' | 'injection' | 'relay' | 'turnedAway'>;

/**
 * What needs connections of its own; side by side, once it is known that there is a server. At most four at once, because servers limit them;
 * what is turned away all the same is tried again by itself.
 */
async function probeMore(place: Place, session: Session, options: ProbeOptions & { readonly relayTo: readonly string[] }): Promise<More> {
  const secure = session.tls !== null && 'value' in session.tls;
  const speaks = session.capabilities !== null || session.capabilitiesTls !== null;
  const [handshakes, firstInjection, firstRelay] = await Promise.all([
    shakesHands(session) ? probeHandshakes(place, session.mode !== 'starttls', options) : null,
    secure && session.mode === 'starttls' ? probeInjection(place, options) : null,
    speaks ? probeRelay(place, session.mode, options) : null,
  ]);
  const injection = firstInjection?.result === 'turned-away' ? await probeInjection(place, options) : firstInjection;
  const relay = firstRelay !== null && 'turnedAway' in firstRelay ? await probeRelay(place, session.mode, options) : firstRelay;
  const turnedAway = [
    handshakes?.turnedAway,
    firstInjection?.result === 'turned-away' ? firstInjection.evidence : null,
    firstRelay !== null && 'turnedAway' in firstRelay ? firstRelay.turnedAway : null,
  ].find((text) => text !== null && text !== undefined);
  return { handshakes, injection, relay: relay === null || 'turnedAway' in relay ? null : relay, turnedAway: turnedAway ?? null };
}

/** Also where the first handshake failed, other versions may be taken; but not where nobody answered it, or the port speaks in the clear. */
function shakesHands({ tls, mode, greeting }: Session): boolean {
  if (tls === null) return false;
  if ('value' in tls) return true;
  return tls.failure.kind !== 'timeout' && (mode === 'starttls' || greeting === null);
}
