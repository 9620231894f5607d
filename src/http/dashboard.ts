// The dashboard's files, as `scripts/web.mjs` built them: read once, served compressed, with the content security policy. Everything that is no
// file and no place of the server's own is the page itself, which knows its addresses. Owns nothing of what the page does.

import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Context } from 'hono';

/** Of a checkout and of the published package alike: both have `dist/web` beside `src` or as the neighbour of this. */
const BUILT = fileURLToPath(new URL('../../dist/web', import.meta.url));

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** Nothing but what this server serves: no inline script or style, no other host, no frame around it. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
};

/** Places that are never the page, whether there is something or not. */
const OURS = /^\/(?:v1|health|metrics|\.well-known|docs|openapi\.json)(?:\/|$)/;
const ENCODINGS = [
  ['br', '.br'],
  ['gzip', '.gz'],
] as const;

type Coding = 'br' | 'gzip' | 'identity';
type Asset = { readonly type: string; readonly tag: string; readonly bodies: Partial<Readonly<Record<Coding, Uint8Array<ArrayBuffer>>>> };
type Assets = ReadonlyMap<string, Asset>;

/** The middleware that ends the app: answers what it has, and leaves the rest to "not found". */
export function dashboardFiles(directory = BUILT): (context: Context, next: () => Promise<void>) => Promise<Response | void> {
  let assets: Assets | null = null;
  return async (context, next) => {
    const { method, path } = context.req;
    if ((method !== 'GET' && method !== 'HEAD') || OURS.test(path)) return next();
    // A build that comes later is found, one that was replaced is kept: its page asks for its own files.
    assets ??= readAssets(directory);
    if (assets === null) return path === '/' ? notBuilt(context) : next();
    const exact = assets.get(path);
    if (exact !== undefined) return answer(context, exact, path.startsWith('/assets/'));
    const page = assets.get('/index.html');
    if (page === undefined || (extname(path) !== '' && !isPage(context))) return next();
    return isPage(context) || path === '/' ? answer(context, page, false) : next();
  };
}

/** A browser that goes somewhere asks for HTML first; a script or a program does not. */
function isPage(context: Context): boolean {
  return (context.req.header('accept') ?? '').includes('text/html');
}

function answer(context: Context, asset: Asset, forGood: boolean): Response {
  const headers = new Headers(HEADERS);
  headers.set('content-type', asset.type);
  headers.set('cache-control', forGood ? 'public, max-age=31536000, immutable' : 'no-cache');
  headers.set('etag', asset.tag);
  headers.set('vary', 'accept-encoding');
  if (context.req.header('if-none-match') === asset.tag) return new Response(null, { status: 304, headers });
  const accepted = (context.req.header('accept-encoding') ?? '').toLowerCase();
  const coding = ENCODINGS.find(([name]) => asset.bodies[name] !== undefined && new RegExp(`\\b${name}\\b(?!\\s*;\\s*q=0(?:\\.0*)?(?:,|$))`).test(accepted))?.[0] ?? 'identity';
  if (coding !== 'identity') headers.set('content-encoding', coding);
  const body = asset.bodies[coding] ?? null;
  headers.set('content-length', String(body?.length ?? 0));
  return new Response(context.req.method === 'HEAD' ? null : body, { status: 200, headers });
}

function notBuilt(context: Context): Response {
  return context.text('The dashboard was not built here. In a checkout: npm run web. Everything else of Postern works.\n', 503, HEADERS);
}

function readAssets(directory: string): Assets | null {
  if (!existsSync(join(directory, 'index.html'))) return null;
  const assets = new Map<string, Asset>();
  for (const name of readdirSync(directory, { recursive: true }).map(String)) {
    const path = join(directory, name);
    const type = TYPES[extname(name)];
    if (type === undefined || !statSync(path).isFile()) continue;
    const identity = new Uint8Array(readFileSync(path));
    const bodies: Partial<Record<Coding, Uint8Array<ArrayBuffer>>> = { identity };
    for (const [coding, suffix] of ENCODINGS) if (existsSync(path + suffix)) bodies[coding] = new Uint8Array(readFileSync(path + suffix));
    assets.set(`/${name.replaceAll('\\', '/')}`, { type, tag: `"${createHash('sha256').update(identity).digest('base64url').slice(0, 22)}"`, bodies });
  }
  return assets;
}
