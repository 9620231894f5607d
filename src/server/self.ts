// Whether a mail host is this very server: its name, or one of this machine's addresses on a port that this server receives mail on. Mail
// for a domain whose best MX is ourselves would go in circles (RFC 5321 5.1).

import { networkInterfaces } from 'node:os';

export type SelfCheck = {
  readonly isSelf: (host: string, addresses: readonly string[]) => boolean;
  /** A listener is open at this address and port. */
  listens(bound: { readonly address: string; readonly port: number }): void;
};

const ALL = new Set(['::', '0.0.0.0']);

/** `mxPort` is the port that mail hosts are dialled on: an address of ours counts only if we listen there. */
export function openSelfCheck(options: { readonly hostname: string; readonly mxPort: number }): SelfCheck {
  const bound = new Set<string>();
  return {
    isSelf(host, addresses) {
      if (host === options.hostname) return true;
      if (bound.size === 0) return false;
      const everywhere = [...bound].some((address) => ALL.has(address));
      const own = everywhere ? machineAddresses() : bound;
      return addresses.some((address) => own.has(address));
    },
    listens({ address, port }) {
      if (port === options.mxPort) bound.add(address);
    },
  };
}

function machineAddresses(): Set<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address)));
}
