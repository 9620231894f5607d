// The only address type (RFC 5321 4.1.2, RFC 6531). An address is parsed once, at the edge, and carried as this; nothing
// parses `text` again.

/**
 * A mailbox. `local` is the local part with quoting undone; `domain` is canonical (lower case, A-labels, or an address
 * literal in brackets); `text` is what the sender wrote, without angle brackets, and is what goes on the wire.
 */
export type Address = { readonly local: string; readonly domain: string; readonly text: string };

/** MAIL FROM: an address, or null for the null reverse-path `<>`. */
export type ReversePath = Address | null;
