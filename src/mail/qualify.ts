// Addresses in a header that have no domain, as programs of one machine write them (`To: root`, `From: root (Cron Daemon)`): they get one, and nothing
// else of the field changes. RFC 6409 6.2.

import { parseHeaders } from './headers.ts';

const FIELDS: ReadonlySet<string> = new Set(['from', 'sender', 'reply-to', 'to', 'cc', 'bcc'].flatMap((name) => [name, `resent-${name}`]));

/** The message with every bare local part in its address fields made an address of `domain()`, which is asked only if there is one. */
export function qualifyHeader(content: Buffer, domain: () => string): Buffer {
  const chunks: Buffer[] = [];
  let kept = 0;
  for (const field of parseHeaders(content).fields) {
    if (!FIELDS.has(field.name)) continue;
    const text = content.toString('latin1', field.start, field.end);
    const colon = text.indexOf(':') + 1;
    const qualified = qualifyList(text.slice(colon), domain);
    if (qualified === text.slice(colon)) continue;
    chunks.push(content.subarray(kept, field.start), Buffer.from(text.slice(0, colon) + qualified, 'latin1'));
    kept = field.end;
  }
  return chunks.length === 0 ? content : Buffer.concat([...chunks, content.subarray(kept)]);
}

/** Elements are what stands between commas outside of quotes, comments and angle brackets; groups stay as they are. */
function qualifyList(list: string, domain: () => string): string {
  let out = '';
  let element = '';
  let depth = 0;
  let quoted = false;
  let angle = false;
  for (let i = 0; i < list.length; i++) {
    const character = list.charAt(i);
    if (character === '\\' && (quoted || depth > 0)) {
      element += character + list.charAt(++i);
      continue;
    }
    if (quoted) quoted = character !== '"';
    else if (depth > 0) depth += character === '(' ? 1 : character === ')' ? -1 : 0;
    else if (character === '"') quoted = true;
    else if (character === '(') depth++;
    else if (character === '<') angle = true;
    else if (character === '>') angle = false;
    else if (character === ',' && !angle) {
      out += `${qualified(element, domain)},`;
      element = '';
      continue;
    }
    element += character;
  }
  return out + qualified(element, domain);
}

const ATOMS = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$/;

function qualified(element: string, domain: () => string): string {
  const inside = /<([^<>]*)>\s*$/.exec(element);
  if (element.includes('@') || element.includes(':') || (inside === null && element.includes('"'))) return element;
  if (inside !== null) return ATOMS.test(inside[1] ?? '') ? element.replace(/<([^<>]*)>(?=\s*$)/, (_, local: string) => `<${local}@${domain()}>`) : element;
  // One word, perhaps with a comment before or behind: everything else is no mailbox without a domain.
  return element.replace(/^((?:\s|\([^()]*\))*)([^\s()]+)((?:\s|\([^()]*\))*)$/, (whole: string, before: string, word: string, behind: string) =>
    ATOMS.test(word) ? `${before}${word}@${domain()}${behind}` : whole,
  );
}
