// How a challenge is answered, whichever kind it is; and the port that answers it, open only while one waits. RFC 8555 8.

import type { AddressInfo, Server } from 'node:net';
import { PosternError, errorCode, errorText } from '#base/failure.ts';
import type { ChallengeType } from './problem.ts';

export type ChallengeAnswer = { readonly name: string; readonly token: string; readonly keyAuthorization: string };

export type Responder = {
  readonly type: ChallengeType;
  /** Rejects with PosternError. Presenting the same again does no harm. */
  present(answer: ChallengeAnswer): Promise<void>;
  /** Called once all are presented; resolves when the authority may look. */
  ready(): Promise<void>;
  /** Takes the answer away again; one that is not there is no error. Never rejects. */
  remove(answer: ChallengeAnswer): Promise<void>;
};

export type Place = { readonly address: string; readonly port: number };

/** Binds; rejects with PosternError that says what is in the way. Resolves with the port. */
export function listen(server: Server, { address, port }: Place, challenge: ChallengeType): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(notBound(error, { address, port }, challenge)));
    server.listen({ host: address, port }, () => {
      server.removeAllListeners('error');
      server.on('error', () => {});
      resolve((server.address() as AddressInfo).port);
    });
  });
}

export function close(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}

function notBound(error: unknown, { address, port }: Place, challenge: ChallengeType): PosternError {
  const shown = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const code = errorCode(error);
  const cause =
    code === 'EADDRINUSE'
      ? `Another program listens on ${shown}, where the ${challenge} challenge must be answered.`
      : code === 'EACCES'
        ? `This account may not bind ${shown}, where the ${challenge} challenge must be answered.`
        : `The ${challenge} challenge cannot be answered on ${shown} (${errorText(error)}).`;
  const way =
    challenge === 'http-01'
      ? 'Let that program pass /.well-known/acme-challenge/ on to a port of your choice and set tls.acme.port to it'
      : 'Forward port 443 to a port of your choice and set tls.acme.port to it';
  const fix =
    code === 'EADDRINUSE'
      ? `${way}; or use challenge = "dns-01".`
      : code === 'EACCES'
        ? `Give the service CAP_NET_BIND_SERVICE (see docs/operations.md), or forward the port to one of 1024 or higher and set tls.acme.port to that.`
        : 'Check tls.acme.address and tls.acme.port.';
  return new PosternError({ code: 'acme-port-not-bound', cause, fix }, { exitCode: 1, cause: error });
}
