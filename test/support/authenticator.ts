// An authenticator in software, as a browser shows it to a page: makes passkeys and answers with them (WebAuthn Level 3). P-256, no attestation.

import { createHash, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export type Made = { readonly id: string; readonly clientData: string; readonly authenticatorData: string; readonly publicKey: string };
export type Asserted = { readonly id: string; readonly clientData: string; readonly authenticatorData: string; readonly signature: string };

/** What a test may want to be otherwise than true. */
export type Lies = { readonly origin?: string; readonly type?: string; readonly host?: string; readonly flags?: number; readonly counter?: number; readonly key?: KeyObject };

export class Authenticator {
  readonly id = randomBytes(20).toString('base64url');
  readonly #pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  counter = 0;

  create(origin: string, { challenge, rp }: { challenge: string; rp: { id: string } }, lies: Lies = {}): Made {
    const id = Buffer.from(this.id, 'base64url');
    const length = Buffer.alloc(2);
    length.writeUInt16BE(id.length);
    // The COSE key that follows is not read by anybody here.
    const data = Buffer.concat([this.#head(rp.id, { flags: 0x45, ...lies }), Buffer.alloc(16), length, id, Buffer.from([0xa0])]);
    const publicKey = createPublicKey(this.#pair.privateKey).export({ type: 'spki', format: 'der' });
    return {
      id: this.id,
      clientData: clientData('webauthn.create', challenge, origin, lies),
      authenticatorData: data.toString('base64url'),
      publicKey: publicKey.toString('base64url'),
    };
  }

  get(origin: string, { challenge, rpId }: { challenge: string; rpId: string }, lies: Lies = {}): Asserted {
    this.counter++;
    const client = clientData('webauthn.get', challenge, origin, lies);
    const data = this.#head(rpId, { flags: 0x05, ...lies });
    const signed = Buffer.concat([data, createHash('sha256').update(Buffer.from(client, 'base64url')).digest()]);
    return {
      id: this.id,
      clientData: client,
      authenticatorData: data.toString('base64url'),
      signature: sign('sha256', signed, lies.key ?? this.#pair.privateKey).toString('base64url'),
    };
  }

  #head(host: string, lies: Lies): Buffer {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(lies.counter ?? this.counter);
    return Buffer.concat([
      createHash('sha256')
        .update(lies.host ?? host)
        .digest(),
      Buffer.of(lies.flags ?? 0),
      counter,
    ]);
  }
}

function clientData(type: string, challenge: string, origin: string, lies: Lies): string {
  return Buffer.from(JSON.stringify({ type: lies.type ?? type, challenge, origin: lies.origin ?? origin, crossOrigin: false })).toString('base64url');
}
