// Lists of `name=value` with semicolons between, as DKIM, ARC and DMARC write them. Strict: what is no such list is none at all. RFC 6376 3.2.

/** The values by name, trimmed, folding white space inside kept as it is; null when the text is no tag list or has a name twice. */
export function parseTags(text: string): ReadonlyMap<string, string> | null {
  const tags = new Map<string, string>();
  const specs = text.split(';');
  // One semicolon may end the list.
  if (specs.length > 1 && isBlank(specs.at(-1) ?? '')) specs.pop();
  for (const spec of specs) {
    const equals = spec.indexOf('=');
    if (equals === -1) return null;
    const name = trim(spec.slice(0, equals));
    const value = trim(spec.slice(equals + 1));
    if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(name) || tags.has(name) || /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(value)) return null;
    tags.set(name, value);
  }
  return tags;
}

/** The value without any white space: for base64 and lists, where it only folds. */
export function withoutSpace(value: string): string {
  return value.replace(/[ \t\r\n]+/g, '');
}

/** The bytes of base64 that may be folded; null when it is not base64, or empty. */
export function decodeTagBase64(value: string): Buffer | null {
  const text = withoutSpace(value);
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) && text !== '' ? Buffer.from(text, 'base64') : null;
}

function trim(text: string): string {
  return text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '');
}

function isBlank(text: string): boolean {
  return trim(text) === '';
}
