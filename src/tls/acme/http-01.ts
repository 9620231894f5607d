// Answers HTTP-01 challenges: a plain HTTP server with nothing else in it, open only while one waits. RFC 8555 8.3.

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import { close, listen } from './responder.ts';
import type { Place, Responder } from './responder.ts';

const PREFIX = '/.well-known/acme-challenge/';
const REQUEST_MS = 10_000;
const CONNECTIONS = 100;

export function openHttpResponder(place: Place): Responder {
  const answers = new Map<string, string>();
  let server: Promise<Server> | null = null;
  return {
    type: 'http-01',
    async present({ token, keyAuthorization }) {
      answers.set(token, keyAuthorization);
      server ??= start(place, answers);
      await server.catch((error: unknown) => {
        server = null;
        throw error;
      });
    },
    ready: () => Promise.resolve(),
    async remove({ token }) {
      answers.delete(token);
      if (answers.size > 0 || server === null) return;
      const running = await server.catch(() => null);
      server = null;
      running?.closeAllConnections();
      if (running !== null) await close(running);
    },
  };
}

async function start(place: Place, answers: ReadonlyMap<string, string>): Promise<Server> {
  const server = createServer({ maxHeaderSize: 8 * 1024, headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: 2000 }, (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = request.method === 'GET' && path.startsWith(PREFIX) ? answers.get(path.slice(PREFIX.length)) : undefined;
    response.writeHead(answer === undefined ? 404 : 200, { 'content-type': answer === undefined ? 'text/plain' : 'application/octet-stream', connection: 'close' });
    response.end(answer ?? 'not found\n');
  });
  server.maxConnections = CONNECTIONS;
  await listen(server, place, 'http-01');
  return server;
}
