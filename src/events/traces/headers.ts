// The file with the headers that a collector wants, mostly a token: `Name: value` lines. Its content is a secret: what is wrong with it is told by line, never by
// what stands there. RFC 9110 5.

export type Headers = Readonly<Record<string, string>>;

const MAX_LINES = 50;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const VALUE = /^[\x20-\x7e]{1,8192}$/;
/** They belong to the connection, or to what is sent. */
const OURS = new Set(['connection', 'content-encoding', 'content-length', 'content-type', 'expect', 'host', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

/** Empty lines, and those that begin with `#`, say nothing. */
export function parseHeaders(text: string): { readonly headers: Headers } | { readonly mistake: string } {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  const found = new Map<string, string>();
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    const mistake = (what: string): { readonly mistake: string } => ({ mistake: `line ${i + 1} ${what}` });
    if (colon === -1 || !NAME.test(name) || !VALUE.test(value)) return mistake('is not "Name: value"');
    if (OURS.has(name)) return mistake('names a header that Postern sets itself');
    if (found.has(name)) return mistake('names a header for the second time');
    if (found.size === MAX_LINES) return mistake(`is one more than the ${MAX_LINES} headers there may be`);
    found.set(name, value);
  }
  return { headers: Object.fromEntries(found) };
}
