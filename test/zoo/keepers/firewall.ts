// Keeps the animals that a packet filter stands before: nftables in the namespace of the zoo.

import { execFileSync } from 'node:child_process';
import type { Ground } from '../ground.ts';

export type Firewall = {
  readonly by: 'nftables';
  /** null: all ports. */
  readonly port: number | null;
  /** As nft writes it. */
  readonly verdict: 'drop' | 'reject with icmp type admin-prohibited' | 'reject with icmp type host-unreachable' | 'reject with tcp reset';
  /** An address beside its own that is not reached either: a network that lets nothing out. */
  readonly and?: string;
};

export function keepFirewall(kept: readonly { name: string; keep: Firewall }[], ground: Ground): void {
  const rules = kept.map(
    ({ name, keep: { port, verdict, and } }) =>
      `ip daddr { ${[ground.address(name), ...(and === undefined ? [] : [and])].join(', ')} } ${port === null ? 'meta l4proto tcp' : `tcp dport ${port}`} ${verdict}`,
  );
  const table = `table inet zoo {\n  chain in {\n    type filter hook input priority filter;\n    ${rules.join('\n    ')}\n  }\n}\n`;
  execFileSync('/usr/sbin/nft', ['-f', '-'], { input: table });
}
