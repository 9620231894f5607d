// The route to an application: each message is posted to an https URL. Finds the host, refuses private addresses, and connects to the very
// address that was looked at, so that no second look-up can lead elsewhere. TLS is always verified; redirects are not followed.

import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '#base/clock.ts';
import { errorCode, errorText } from '#base/failure.ts';
import { parseWebhookSecrets } from '#base/webhook.ts';
import type { Connected, Connector, Refusal, Tried } from '#deliver/connector.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import type { ClientFailure } from '#smtp/client.ts';
import { openWebhookHop } from './webhook-post.ts';
import type { WebhookRoute } from './webhook-post.ts';

export type WebhookParts = {
  readonly hostname: string;
  readonly resolver: Resolver;
  readonly tlsContext: SecureContext;
  readonly allowPrivate: boolean;
  readonly isPrivate: (address: string) => boolean;
  readonly timeouts: { readonly connectMs: number; readonly dataMs: number };
  readonly clock: Clock;
};

const HTTPS_PORT = 443;
const MAX_ADDRESSES = 4;
const WHY = 'A webhook is spoken to over verified TLS only.';

/** Makes the connector of one webhook route. */
export function openWebhook(parts: WebhookParts, route: WebhookRoute): Connector {
  const url = new URL(route.url);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? HTTPS_PORT : Number(url.port);
  return {
    site: `webhook:${route.name}`,
    limit: `webhook:${route.name}`,
    route: 'webhook',
    terms: JSON.stringify(route),
    several: false,
    async connect(signal) {
      const secrets = await readSecrets(route);
      if ('verdict' in secrets) return { tried: [], permanent: secrets };
      const found = isIP(host) !== 0 ? { addresses: [host] } : await findAddresses(parts.resolver, host);
      if ('failure' in found)
        return {
          tried: [],
          permanent: deferred('dns-failure', `The host ${host} of the webhook cannot be resolved: ${found.failure.detail}.`, 'Check the URL of the route and the DNS resolver.'),
        };
      const usable = found.addresses.filter((address) => parts.allowPrivate || !parts.isPrivate(address)).slice(0, MAX_ADDRESSES);
      if (usable.length === 0)
        return {
          tried: [],
          permanent: deferred(
            'private-address',
            `The host ${host} of the webhook has only private addresses.`,
            'If it stands in your own network set delivery.allow_private_addresses = true.',
          ),
        };
      const tried: Tried[] = [];
      for (const address of usable) {
        if (signal.aborted) break;
        const socket = await dialTls(parts, { host, address, port }, signal);
        if ('kind' in socket) tried.push({ host, address, port, failure: socket });
        else return connected(socket, { host, address, port, hop: openWebhookHop({ ...parts, route, socket, secrets: () => readSecrets(route), stallMs: parts.timeouts.dataMs }) });
      }
      return { tried, permanent: null };
    },
  };
}

function connected(socket: TLSSocket, to: { host: string; address: string; port: number; hop: Connected['client'] }): Connected {
  const protocol = socket.getProtocol() ?? '';
  const cipher = socket.getCipher().standardName;
  const { host, address, port, hop } = to;
  const security = { policy: 'route', required: 'verified', why: WHY, protocol, cipher, certificate: 'verified', verdict: 'chain and name verify' } as const;
  return { client: hop, host, address, port, tls: `${protocol} ${cipher} verified`, security };
}

function dialTls(parts: WebhookParts, to: { host: string; address: string; port: number }, signal: AbortSignal): Promise<TLSSocket | ClientFailure> {
  const { host, address, port } = to;
  return new Promise((resolve) => {
    const socket = connect({
      host: address,
      port,
      secureContext: parts.tlsContext,
      ALPNProtocols: ['http/1.1'],
      rejectUnauthorized: true,
      // No name is told for an address (RFC 6066 3); it is then what the certificate is held against.
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const finish = (result: TLSSocket | ClientFailure): void => {
      cancel();
      signal.removeEventListener('abort', abort);
      if ('kind' in result) socket.destroy();
      resolve(result);
    };
    const failed = (kind: ClientFailure['kind'], code: string, text: string): void => finish({ phase: 'connect', kind, reply: null, code, text, possibleDuplicate: false });
    const abort = (): void => failed('aborted', 'ABORT_ERR', 'given up on this side');
    const cancel = parts.clock.after(parts.timeouts.connectMs, () => failed('timeout', 'ETIMEDOUT', `no TLS connection to ${host} within ${parts.timeouts.connectMs} ms`));
    signal.addEventListener('abort', abort, { once: true });
    let open = false;
    socket.once('connect', () => (open = true));
    socket.once('secureConnect', () => finish(socket));
    socket.once('error', (error) => failed(open ? 'tls' : 'socket', errorCode(error) ?? 'ECONNRESET', errorText(error)));
    socket.once('close', () => failed('socket', 'ECONNRESET', 'the connection was closed'));
    if (signal.aborted) abort();
  });
}

async function readSecrets(route: WebhookRoute): Promise<readonly Buffer[] | Refusal> {
  let text: string;
  try {
    text = await readFile(route.secretFile, 'utf8');
  } catch (error) {
    return deferred('secret-file', `The secret file of route ${route.name} cannot be read: ${errorText(error)}.`, 'Make the file readable for the account Postern runs as.');
  }
  const secrets = parseWebhookSecrets(text);
  return (
    secrets ??
    deferred(
      'secret-file',
      `The secret file of route ${route.name} holds no secret as Standard Webhooks writes it.`,
      'Put "whsec_" and base64 of 24 to 64 bytes into it, for example from: echo "whsec_$(openssl rand -base64 32)"',
    )
  );
}

/** Faults of our own configuration defer: mail waits until they are mended. */
function deferred(className: string, cause: string, fix: string): Refusal {
  return { verdict: 'deferred', code: 451, enhanced: '4.3.5', text: cause, class: className, cause, fix };
}
