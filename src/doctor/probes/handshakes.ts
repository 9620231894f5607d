// Which TLS versions a port takes, each in a handshake of its own, and what a client without SNI is shown. RFC 8996, RFC 8446.

import { connect as connectTls, createSecureContext } from 'node:tls';
import type { SecureVersion, TLSSocket } from 'node:tls';
import { errorText } from '#base/failure.ts';
import { Conversation } from './conversation.ts';
import type { Place, ProbeOptions } from './conversation.ts';
import { tlsFacts } from './certificates.ts';
import type { TlsFacts } from './certificates.ts';

export type Handshake = { readonly version: SecureVersion; readonly accepted: boolean; readonly cipher: string; readonly evidence: string };
export type Handshakes = { readonly versions: readonly Handshake[]; /** What is shown without SNI; null when nothing was. */ readonly withoutSni: TlsFacts | null };

const VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

export async function probeHandshakes(place: Place, implicit: boolean, options: ProbeOptions): Promise<Handshakes> {
  const [withoutSni, ...versions] = await Promise.all([
    shake(place, implicit, options, null),
    ...VERSIONS.map(async (version): Promise<Handshake> => {
      const result = await shake(place, implicit, options, version);
      return 'problem' in result
        ? { version, accepted: true, cipher: result.cipher, evidence: `${result.protocol} ${result.cipher}` }
        : { version, accepted: false, cipher: '', evidence: result.refused };
    }),
  ]);
  return { versions, withoutSni: 'problem' in withoutSni ? withoutSni : null };
}

/** A handshake with this version only, or (null) with any version and no SNI. */
async function shake(place: Place, implicit: boolean, options: ProbeOptions, version: SecureVersion | null): Promise<TlsFacts | { readonly refused: string }> {
  const opened = await Conversation.open(place, options);
  if ('failure' in opened) return { refused: opened.failure.text };
  const { conversation } = opened;
  if (!implicit) {
    conversation.wire.attach();
    const greeting = await conversation.greeting();
    if ('failure' in greeting) return { refused: greeting.failure.text };
    await conversation.say(`EHLO ${options.helo}`, 'ehlo');
    const starttls = await conversation.say('STARTTLS', 'starttls');
    if ('failure' in starttls) return { refused: starttls.failure.text };
    conversation.wire.detach();
  }
  const startMs = performance.now();
  return new Promise((resolve) => {
    // Old versions are out of reach of the default security level: what is asked is whether the server would take them.
    const old = version === 'TLSv1' || version === 'TLSv1.1';
    const secureContext = version === null ? options.context : createSecureContext({ minVersion: version, maxVersion: version, ...(old ? { ciphers: 'ALL:@SECLEVEL=0' } : {}) });
    const socket: TLSSocket = connectTls({
      socket: conversation.wire.socket,
      secureContext,
      host: place.host,
      rejectUnauthorized: false,
      ...(version !== null && !/^[\d.]+$|:/.test(place.host) ? { servername: place.host } : {}),
    });
    const done = (result: TlsFacts | { readonly refused: string }): void => {
      clearTimeout(timer);
      resolve(result);
      socket.on('error', () => {});
      socket.destroy();
      conversation.close();
    };
    const timer = setTimeout(() => done({ refused: 'the handshake timed out' }), options.timeoutMs);
    socket.once('secureConnect', () => done(tlsFacts(socket, place.host, performance.now() - startMs)));
    socket.once('error', (error) => done({ refused: errorText(error) }));
    socket.once('close', () => done({ refused: 'the other side closed the connection' }));
  });
}
