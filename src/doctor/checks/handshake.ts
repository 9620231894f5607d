// Why a TLS handshake failed, read from what OpenSSL says and from which versions the server takes. RFC 8446 6.

import type { Handshakes } from '#doctor/probes/handshakes.ts';
import type { ClientFailure } from '#smtp/client.ts';

/** OpenSSL's line without addresses and source files: `wrong version number`, `tlsv1 alert internal error (alert 80)`. */
export function shortened(text: string): string {
  const [, reason, alert] = /error:[0-9A-F]+:SSL routines:[^:]*:([^:]+):(?:.*SSL alert number (\d+))?/s.exec(text) ?? [];
  return reason === undefined ? text.trim() : `${reason}${alert === undefined ? '' : ` (alert ${alert})`}`;
}

const OLD: ReadonlySet<string> = new Set(['TLSv1', 'TLSv1.1']);

/** The old versions that are taken, and whether newer ones are. */
export function oldVersions(handshakes: Handshakes | null): { readonly old: readonly string[]; readonly only: boolean } {
  const taken = (handshakes?.versions ?? []).filter(({ result }) => result === 'accepted').map(({ version }) => version);
  const old = taken.filter((version) => OLD.has(version));
  return { old, only: old.length > 0 && old.length === taken.length };
}

const MEND = 'Look at the TLS log of the server; check certificate and key, and allow TLS 1.2 and 1.3.';

/** What stands behind a handshake that failed. */
export function handshakeCause(failure: ClientFailure, handshakes: Handshakes | null): { readonly cause: string; readonly fix: string } {
  const { old, only } = oldVersions(handshakes);
  if (only)
    return {
      cause: `The server takes nothing newer than ${old.at(-1)}, which clients of today refuse.`,
      fix: 'Allow TLS 1.2 and 1.3 on the server; update it if it knows neither.',
    };
  if (failure.kind === 'timeout')
    return { cause: 'The server is asked for TLS and says nothing more: it hangs, or a filter on the way swallows the handshake.', fix: `${MEND} Try from another network.` };
  const text = failure.text.toLowerCase();
  if (/wrong version number|record layer|packet length|unexpected message|bad record type|http request/.test(text))
    return { cause: 'What comes is no TLS: the server goes on in the clear.', fix: `${MEND} If a proxy stands before the server, it has to pass TLS on or speak it itself.` };
  if (/internal error/.test(text))
    return {
      cause:
        'The server breaks the handshake off with an error of its own: its key cannot be used (not readable, not the one of the certificate, or not with this version of its TLS library).',
      fix: `${MEND} Compare "openssl x509 -pubkey -noout -in CERT" with "openssl pkey -pubout -in KEY"; update the server.`,
    };
  if (/key too small|too weak|bad ecpoint|bad dh/.test(text))
    return {
      cause: `The key exchange of the server is weaker than clients of today accept (${shortened(failure.text)}).`,
      fix: 'Give the server Diffie-Hellman parameters of 2048 bits or more, or better ECDHE only (Postfix: smtpd_tls_dh1024_param_file empty; ssl_dh in Dovecot).',
    };
  if (/handshake.failure|no shared cipher|no suitable|protocol version|unsupported protocol|insufficient security/.test(text))
    return { cause: 'The server has no version and cipher in common with clients of today, or no certificate to show.', fix: MEND };
  return { cause: 'No handshake comes about: no version or cipher in common, a broken certificate or key, or no TLS server at all.', fix: MEND };
}
