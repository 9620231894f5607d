// The mechanisms of a sink: those of the server, and some that clients of other servers speak, so that they can be tested here. RFC 7628, 2195.

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { MaybePromise } from '#base/promise.ts';
import type { AuthResult, Identity } from '#smtp/policy.ts';
import { MECHANISMS, openMechanism } from '#smtp/sasl.ts';
import type { Mechanism, SaslHost, SaslMachine, SaslStep } from '#smtp/sasl.ts';
import type { Login } from './world.ts';

export type SinkMechanism = Mechanism | 'XOAUTH2' | 'OAUTHBEARER' | 'CRAM-MD5';
type Opened = { readonly machine: SaslMachine<Identity>; readonly first: Buffer };

/** Who takes any password can take it only where it is said: by SCRAM and CRAM-MD5 it is proved. */
export function usualMechanisms(login: Login | null): readonly SinkMechanism[] {
  return login === null ? ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER'] : [...MECHANISMS, 'XOAUTH2', 'OAUTHBEARER', 'CRAM-MD5'];
}

export function openSinkMechanism(mechanism: SinkMechanism, host: SaslHost<Identity>, login: Login | null): Opened {
  switch (mechanism) {
    case 'XOAUTH2':
    case 'OAUTHBEARER':
      return { machine: bearer(host), first: Buffer.alloc(0) };
    case 'CRAM-MD5':
      return cramMd5(host, login);
    default:
      return openMechanism(mechanism, host);
  }
}

/** A token that is refused is answered with the reason first, and refused when that was read (RFC 7628 3.2.3). */
function bearer(host: SaslHost<Identity>): SaslMachine<Identity> {
  let refused: AuthResult<Identity> | null = null;
  return {
    async step(answer): Promise<SaslStep<Identity>> {
      if (refused !== null) return { result: refused };
      const [, plain, quoted, token] =
        /^(?:user=([^\x01]*)|n,a=([^\x01]*),)\x01(?:(?:host|port)=[^\x01]*\x01)*auth=Bearer ([^\x01]+)\x01\x01$/i.exec(answer.toString('utf8')) ?? [];
      if (token === undefined) return { failed: 'malformed bearer response' };
      const username = plain ?? (quoted ?? '').replace(/=2C/g, ',').replace(/=3D/g, '=');
      const result = await host.verify(username, token);
      if ('identity' in result) return { result };
      refused = result;
      return { challenge: Buffer.from('{"status":"401","schemes":"bearer","scope":"mail"}') };
    },
  };
}

function cramMd5(host: SaslHost<Identity>, login: Login | null): Opened {
  const challenge = Buffer.from(`<${randomBytes(9).toString('hex')}@sink>`);
  const expected = Buffer.from(
    createHmac('md5', login?.password ?? '')
      .update(challenge)
      .digest('hex'),
  );
  return {
    first: challenge,
    machine: {
      step(answer): MaybePromise<SaslStep<Identity>> {
        const text = answer.toString('utf8');
        const space = text.lastIndexOf(' ');
        const given = Buffer.from(text.slice(space + 1).toLowerCase());
        const right = login !== null && given.length === expected.length && timingSafeEqual(given, expected);
        const result = host.verify(text.slice(0, Math.max(space, 0)), right ? login.password : '');
        return result instanceof Promise ? result.then((value) => ({ result: value })) : { result };
      },
    },
  };
}
