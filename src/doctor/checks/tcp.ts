// Whether a TCP connection comes about, and what it means when it does not.

import type { PortEvidence } from '#doctor/probes/port.ts';
import type { Verdict } from '#doctor/report.ts';
import { ms } from './check.ts';
import type { PortCheck } from './check.ts';

export const tcp: PortCheck = { id: 'tcp', title: 'TCP connection', judge: judgeTcp };

export function judgeTcp({ connect, host, address, port, timeoutMs }: Pick<PortEvidence, 'connect' | 'host' | 'address' | 'port' | 'timeoutMs'>): Verdict {
  if ('value' in connect) return { status: 'pass', evidence: `connected to ${address} port ${port} in ${ms(connect.ms)}`, durationMs: connect.ms };
  const { failure } = connect;
  const evidence = `${failure.code ?? failure.kind}: ${failure.text}`;
  const durationMs = connect.ms;
  switch (failure.code) {
    case 'ECONNREFUSED':
      return {
        status: 'fail',
        title: 'TCP connection refused',
        evidence,
        cause: `${host} (${address}) is up, but nothing listens on port ${port}, or a firewall rejects it.`,
        fix: `Check the host name, that the mail server runs and listens on ${address}:${port} (ss -ltn), and that no firewall rule rejects it; or use a port that it serves.`,
        durationMs,
      };
    case 'ECONNRESET':
      return {
        status: 'fail',
        title: 'TCP connection reset',
        evidence,
        cause: `The connection to port ${port} was reset: a firewall or a balancer without a server behind it ended it.`,
        fix: `Look at the firewall and the balancer in front of ${host}; check that the server behind it runs.`,
        durationMs,
      };
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return {
        status: 'fail',
        title: 'no route, or rejected on the way',
        evidence,
        cause: address.includes(':')
          ? `There is no IPv6 route to ${address}.`
          : `There is no route to ${address}; or a firewall or router on the way rejects the connection and says so by ICMP (host unreachable, administratively prohibited).`,
        fix: address.includes(':') ? 'Give this machine IPv6, or connect by IPv4.' : 'Check the address, the routing table and the firewall of the network in between.',
        durationMs,
      };
    default:
      if (failure.kind !== 'timeout')
        return {
          status: 'fail',
          evidence,
          cause: `The connection to port ${port} failed: ${failure.text}.`,
          fix: 'Check the address, the network and the firewall rules on the way.',
          durationMs,
        };
      return {
        status: 'fail',
        title: 'TCP connection timed out',
        evidence: `no answer from ${address} port ${port} within ${ms(timeoutMs)}`,
        cause: `Packets to port ${port} get no answer: a firewall drops them, here (many networks block 25, some 587) or in front of ${host}; or the host is down.`,
        fix:
          port === 25
            ? 'Ask the provider to open outbound port 25, or hand mail to a relay on 465, 587 or 2525.'
            : `Try 2525, or 465; ask the network provider to unblock ${port}; or use an HTTP API.`,
        durationMs,
      };
  }
}
