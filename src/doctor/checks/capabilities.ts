// What each EHLO keyword means, in a line.

const MEANINGS: Readonly<Record<string, string>> = {
  STARTTLS: 'the connection can be turned to TLS (RFC 3207)',
  AUTH: 'the ways to log in (RFC 4954)',
  PIPELINING: 'commands may be sent without waiting for each answer (RFC 2920)',
  SIZE: 'the largest message in bytes; 0 or none: no fixed limit (RFC 1870)',
  '8BITMIME': 'bodies may have 8-bit text (RFC 6152)',
  SMTPUTF8: 'addresses and headers may be UTF-8 (RFC 6531)',
  CHUNKING: 'content may come in counted chunks, BDAT (RFC 3030)',
  BINARYMIME: 'bodies may be binary (RFC 3030)',
  DSN: 'delivery reports can be asked for (RFC 3461)',
  ENHANCEDSTATUSCODES: 'replies carry codes like 5.7.1 (RFC 2034)',
  REQUIRETLS: 'TLS can be demanded for the whole way (RFC 8689)',
  VRFY: 'addresses can be asked for (RFC 5321 3.5)',
  EXPN: 'lists can be asked for (RFC 5321 3.5); better switched off',
  ETRN: 'a queue can be started from outside (RFC 1985)',
  HELP: 'there is a HELP command (RFC 5321)',
  LIMITS: 'limits of a session are told (RFC 9422)',
  'MT-PRIORITY': 'messages may have a priority (RFC 6710)',
  DELIVERBY: 'a deadline can be asked for (RFC 2852)',
  FUTURERELEASE: 'a message can be held until later (RFC 4865)',
  BURL: 'content may be fetched from an IMAP server (RFC 4468)',
  PIPECONNECT: 'a client that knows this server may speak before the greeting (Exim)',
  XCLIENT: 'trusted proxies may pass on the client (Postfix)',
  XFORWARD: 'trusted proxies may pass on log data (Postfix)',
};

export function explainCapability(keyword: string): string {
  return MEANINGS[keyword] ?? (keyword.startsWith('X') ? 'an extension of this server' : 'an extension not known here');
}
