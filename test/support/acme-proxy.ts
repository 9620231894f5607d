// Stands before a real ACME server, speaks HTTPS itself and passes everything on: adds renewal information (which Debian's pebble does not have),
// holds requests back, or answers in the server's place. What the server says of itself names the proxy, because it goes by the Host header.

import { createServer, request } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFileSync } from 'node:fs';
import { makeAuthority } from './authority.ts';
import type { Pebble } from './pebble.ts';
import { atEnd } from './temp.ts';

/** What is done with a request: passed on, answered here, or never answered (before or after the server saw it). */
export type Treatment = 'pass' | 'hold' | 'hold-answer' | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body: object };

export type AcmeProxy = {
  readonly directory: string;
  /** Signs the certificate of the proxy. */
  readonly caFile: string;
  /** Method and path of every request so far. */
  readonly seen: string[];
  /** Decides; `body` is the decoded payload of a signed request. */
  treat: (path: string, body: unknown) => Treatment;
  /** Its answer to renewal information; null: there is none. */
  renewalInfo: ((id: string) => { readonly start: Date; readonly end: Date }) | null;
};

export async function startAcmeProxy(pebble: Pebble): Promise<AcmeProxy> {
  const authority = makeAuthority();
  const own = authority.issue(['localhost', '127.0.0.1']);
  const target = new URL(pebble.directory);
  const targetCa = readFileSync(pebble.caFile);
  const proxy: AcmeProxy = { directory: '', caFile: authority.caFile, seen: [], treat: () => 'pass', renewalInfo: null };
  const server = createServer({ cert: own.cert, key: own.key }, (incoming, outgoing) => void handle(incoming, outgoing));
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming as AsyncIterable<Buffer>) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const path = incoming.url ?? '';
    proxy.seen.push(`${incoming.method ?? ''} ${path}`);
    if (path.startsWith('/renewal-info/') && proxy.renewalInfo !== null) {
      const { start, end } = proxy.renewalInfo(path.slice('/renewal-info/'.length));
      outgoing.writeHead(200, { 'content-type': 'application/json', 'retry-after': '21600' });
      outgoing.end(JSON.stringify({ suggestedWindow: { start: start.toISOString(), end: end.toISOString() } }));
      return;
    }
    const treatment = proxy.treat(path, payloadOf(body));
    if (treatment === 'hold') return;
    if (typeof treatment === 'object') {
      outgoing.writeHead(treatment.status, { 'content-type': 'application/problem+json', ...treatment.headers });
      outgoing.end(JSON.stringify(treatment.body));
      return;
    }
    const passed = request({ host: target.hostname, port: target.port, method: incoming.method, path, headers: incoming.headers, ca: targetCa }, (answer) => {
      if (treatment === 'hold-answer') return void answer.resume();
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => {
        const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
        const text = Buffer.concat(parts);
        outgoing.writeHead(answer.statusCode ?? 502, headers);
        outgoing.end(path === target.pathname && proxy.renewalInfo !== null ? withRenewalInfo(text, proxy.directory) : text);
      });
    });
    passed.on('error', () => outgoing.destroy());
    passed.end(body);
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  Object.assign(proxy, { directory: `https://127.0.0.1:${(server.address() as AddressInfo).port}${target.pathname}` });
  return proxy;
}

function withRenewalInfo(text: Buffer, directory: string): string {
  return JSON.stringify({ ...(JSON.parse(text.toString()) as object), renewalInfo: new URL('/renewal-info', directory).href });
}

function payloadOf(body: Buffer): unknown {
  try {
    const { payload } = JSON.parse(body.toString()) as { payload: string };
    return JSON.parse(Buffer.from(payload, 'base64url').toString());
  } catch {
    return null;
  }
}
