// What a host and the network let a client have, port by port: a connection, TLS, a certificate that verifies, a login offered. For the advisor, which
// needs facts and no findings; nothing is tried that an ordinary client would not do.

import { isIP } from 'node:net';
import { isImplicitTlsPort } from '#base/ports.ts';
import { errorText } from '#base/failure.ts';
import { findAddresses } from '#dns/mx.ts';
import type { Resolver } from '#dns/resolver.ts';
import { ms } from './checks/check.ts';
import { Conversation } from './probes/conversation.ts';
import type { ProbeOptions } from './probes/conversation.ts';
import { probeSession } from './probes/port.ts';
import type { Session } from './probes/port.ts';

export type SurveyOptions = Omit<ProbeOptions, 'signal'> & { readonly resolver: Resolver; /** All of it. */ readonly limitMs: number };

export type Look = {
  readonly port: number;
  readonly connection: 'open' | 'refused' | 'timeout' | 'unreachable' | 'failed';
  readonly tls: 'implicit' | 'starttls' | 'none' | 'failed' | null;
  readonly certificate: string | null;
  readonly auth: readonly string[] | null;
  readonly text: string;
};
export type Survey = { readonly host: string; readonly depth: 'session' | 'network'; readonly problem: string | null; readonly looks: readonly Look[] };

/** All ports of a host side by side, spoken with as a client would. */
export async function surveyHost(host: string, ports: readonly number[], options: SurveyOptions): Promise<Survey> {
  const found = await addressesOf(host, options.resolver);
  if ('problem' in found) return { host, depth: 'session', problem: found.problem, looks: [] };
  const signal = AbortSignal.timeout(options.limitMs);
  const look = async (address: string, port: number): Promise<Look> => {
    const role = isImplicitTlsPort(port) ? 'submissions' : port === 25 ? 'mx' : 'submission';
    return lookOf(port, await probeSession({ host, address, port }, role, { ...options, signal, login: null, insecure: false }), options.timeoutMs);
  };
  const looks = await Promise.all(ports.map(async (port) => best(await Promise.all(found.addresses.map((address) => look(address, port))))));
  return { host, depth: 'session', problem: null, looks };
}

/** Whether connections to these ports leave the network: any of the hosts, which are known to serve them, is enough. */
export async function surveyNetwork(hosts: readonly string[], ports: readonly number[], options: SurveyOptions): Promise<Survey> {
  const found = await Promise.all(hosts.map(async (host) => ({ host, ...(await addressesOf(host, options.resolver)) })));
  const there = found.flatMap((one) => ('addresses' in one ? one.addresses.map((address) => ({ host: one.host, address })) : []));
  const named = hosts.join(' and ');
  const [first] = found;
  if (there.length === 0) return { host: named, depth: 'network', problem: first !== undefined && 'problem' in first ? first.problem : 'no host to ask', looks: [] };
  const signal = AbortSignal.timeout(options.limitMs);
  const look = async (host: string, address: string, port: number): Promise<Look> => {
    const opened = await Conversation.open({ host, address, port }, { ...options, signal });
    if ('failure' in opened) return unconnected(port, opened, options.timeoutMs, host);
    opened.conversation.close();
    return { port, connection: 'open', tls: null, certificate: null, auth: null, text: `${host} takes connections, in ${ms(opened.conversation.connectMs)}` };
  };
  const looks = await Promise.all(ports.map(async (port) => best(await Promise.all(there.map(({ host, address }) => look(host, address, port))))));
  return { host: named, depth: 'network', problem: null, looks };
}

/** One address of each family. */
async function addressesOf(host: string, resolver: Resolver): Promise<{ readonly addresses: readonly string[] } | { readonly problem: string }> {
  if (isIP(host) !== 0) return { addresses: [host] };
  if (host === 'localhost') return { addresses: ['127.0.0.1'] };
  const answer = await findAddresses(resolver, host).catch((error: unknown) => ({ failure: { detail: errorText(error) } }));
  if ('failure' in answer) return { problem: `the addresses of ${host}: ${answer.failure.detail}` };
  const v4 = answer.addresses.find((address) => !address.includes(':'));
  const v6 = answer.addresses.find((address) => address.includes(':'));
  return { addresses: [v4, v6].filter((address) => address !== undefined) };
}

/** Of two families the one that a client ends up with. */
function best(looks: readonly Look[]): Look {
  const order = ({ connection, tls, certificate, auth }: Look): number =>
    (connection === 'open' ? 0 : connection === 'timeout' ? 16 : 17) + (tls === null ? 4 : 0) + (certificate === null ? 0 : 2) + (auth === null ? 1 : 0);
  return looks.toSorted((a, b) => order(a) - order(b))[0] as Look;
}

function lookOf(port: number, session: Session, timeoutMs: number): Look {
  const { connect, mode, starttls, tls, capabilities, capabilitiesTls, greeting } = session;
  if ('failure' in connect) return unconnected(port, connect, timeoutMs, null);
  const open = { port, connection: 'open', certificate: null, auth: null } as const;
  if (tls !== null && 'value' in tls) {
    const { protocol, problem } = tls.value;
    const auth = capabilitiesTls?.auth ?? null;
    const login =
      session.ehloTls === null ? 'not looked at further' : auth === null ? 'no answer to EHLO under TLS' : auth.length === 0 ? 'no login offered' : `login by ${auth.join(', ')}`;
    const kind = mode === 'implicit' ? 'TLS from the first byte' : 'STARTTLS';
    return {
      ...open,
      tls: mode === 'implicit' ? 'implicit' : 'starttls',
      certificate: problem,
      auth,
      text: `${kind}, ${protocol}, ${problem === null ? 'certificate verified' : `certificate does not verify: ${problem}`}, ${login}`,
    };
  }
  if (tls !== null && 'failure' in tls) return { ...open, tls: 'failed', text: `the TLS handshake fails: ${tls.failure.text}` };
  if (starttls !== null)
    return { ...open, tls: 'failed', text: `STARTTLS is refused: ${'value' in starttls ? `${starttls.value.code} ${starttls.value.lines[0] ?? ''}` : starttls.failure.text}` };
  if (capabilities !== null) return { ...open, tls: 'none', text: 'STARTTLS is not offered' };
  const said = greeting === null ? 'nothing was said' : 'failure' in greeting ? greeting.failure.text : `it greets with ${greeting.value.code} ${greeting.value.lines[0] ?? ''}`;
  return { ...open, tls: null, text: said };
}

function unconnected(
  port: number,
  { failure }: { readonly failure: { readonly kind: string; readonly code: string | null; readonly text: string } },
  timeoutMs: number,
  host: string | null,
): Look {
  const of = host === null ? '' : ` of ${host}`;
  const nothing = { port, tls: null, certificate: null, auth: null } as const;
  if (failure.kind === 'timeout' || failure.kind === 'aborted') return { ...nothing, connection: 'timeout', text: `no answer${of} within ${ms(timeoutMs)}` };
  if (failure.code === 'ECONNREFUSED') return { ...nothing, connection: 'refused', text: `connection${of === '' ? '' : ` to ${host}`} refused` };
  const unreachable = failure.code === 'ENETUNREACH' || failure.code === 'EHOSTUNREACH' || failure.code === 'EADDRNOTAVAIL';
  return { ...nothing, connection: unreachable ? 'unreachable' : 'failed', text: failure.text };
}
