// Which TLS versions a port takes, each in a handshake of its own, and what a client without SNI is shown. RFC 8996, RFC 8446.

import { connect as connectTls, createSecureContext } from 'node:tls';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { errorText } from '#base/failure.ts';
import { Conversation, replyText } from './conversation.ts';
import type { Place, ProbeOptions } from './conversation.ts';
import { tlsFacts } from './certificates.ts';
import type { TlsFacts } from './certificates.ts';

/** `unknown`: it did not come to a handshake. */
export type Handshake = { readonly version: SecureVersion; readonly result: 'accepted' | 'refused' | 'unknown'; readonly cipher: string; readonly evidence: string };
export type Handshakes = {
  readonly versions: readonly Handshake[];
  /** What is shown without SNI, or how the handshake failed; null: not found out. */
  readonly withoutSni: { readonly facts: TlsFacts } | { readonly refused: string } | null;
  /** The reply to connections that were too many. */
  readonly turnedAway: string | null;
};

const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];
/** Handshakes of one port at the same time: servers limit connections. */
const AT_ONCE = 2;

export async function probeHandshakes(place: Place, implicit: boolean, options: ProbeOptions): Promise<Handshakes> {
  const results = new Map<SecureVersion | null, Shaken>();
  const waiting: (SecureVersion | null)[] = [...VERSIONS, null];
  let turnedAway: string | null = null;
  const shakeAll = async (): Promise<void> => {
    for (let version = waiting.shift(); version !== undefined; version = waiting.shift()) results.set(version, await shake(place, implicit, options, version));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, shakeAll));
  // Too many connections at once: again, one by one.
  for (const [version, result] of results) {
    if (!('turnedAway' in result)) continue;
    turnedAway ??= result.turnedAway;
    results.set(version, await shake(place, implicit, options, version));
  }
  const bare = results.get(null);
  return {
    versions: VERSIONS.map((version) => handshakeOf(version, results.get(version))),
    withoutSni: bare !== undefined && ('facts' in bare || 'refused' in bare) ? bare : null,
    turnedAway,
  };
}

function handshakeOf(version: SecureVersion, shaken: Shaken | undefined): Handshake {
  if (shaken === undefined) return { version, result: 'unknown', cipher: '', evidence: '' };
  if ('facts' in shaken) return { version, result: 'accepted', cipher: shaken.facts.cipher, evidence: `${shaken.facts.protocol} ${shaken.facts.cipher}` };
  if ('refused' in shaken) return { version, result: 'refused', cipher: '', evidence: shaken.refused };
  return { version, result: 'unknown', cipher: '', evidence: 'turnedAway' in shaken ? shaken.turnedAway : shaken.unknown };
}

type Shaken = { readonly facts: TlsFacts } | { readonly refused: string } | { readonly turnedAway: string } | { readonly unknown: string };

/** A handshake with this version only, or (null) with any version and no SNI. */
async function shake(place: Place, implicit: boolean, options: ProbeOptions, version: SecureVersion | null): Promise<Shaken> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return { unknown: opened.failure.text };
  const { conversation } = opened;
  if (!implicit) {
    const stopped = await askForTls(conversation, options.helo);
    if (stopped !== null) {
      conversation.close();
      return stopped;
    }
  }
  const startMs = performance.now();
  return new Promise((resolve) => {
    // Old versions are out of reach of the default security level: what is asked is whether the server would take them.
    const old = version === 'TLSv1' || version === 'TLSv1.1';
    const secureContext =
      version === null ? options.context : createSecureContext({ minVersion: version, maxVersion: version, ...(old ? { ciphers: 'ALL:!aNULL:!eNULL:@SECLEVEL=0' } : {}) });
    const socket: TLSSocket = connectTls({
      socket: conversation.wire.socket,
      secureContext,
      host: place.host,
      rejectUnauthorized: false,
      ...(version !== null && !/^[\d.]+$|:/.test(place.host) ? { servername: place.host } : {}),
    });
    const done = (result: Shaken): void => {
      clearTimeout(timer);
      resolve(result);
      socket.on('error', () => {});
      socket.destroy();
      conversation.close();
    };
    const timer = setTimeout(() => done({ unknown: 'the handshake timed out' }), options.timeoutMs);
    socket.once('secureConnect', () => done({ facts: tlsFacts(socket, place.host, performance.now() - startMs) }));
    socket.once('error', (error) => done({ refused: errorText(error) }));
    socket.once('close', () => done({ refused: 'the other side closed the connection' }));
  });
}

/** Comes to where the handshake begins, or says why not. */
async function askForTls(conversation: Conversation, helo: string): Promise<Shaken | null> {
  conversation.wire.attach();
  const steps = [() => conversation.greeting(), () => conversation.say(`EHLO ${helo}`, 'ehlo'), () => conversation.say('STARTTLS', 'starttls')];
  for (const step of steps) {
    const answer = await step();
    if ('failure' in answer) return { unknown: answer.failure.text };
    if (answer.value.code === 421) return { turnedAway: replyText(answer.value) };
    if (answer.value.code !== 220 && answer.value.code !== 250) return { unknown: replyText(answer.value) };
  }
  conversation.wire.detach();
  return null;
}
