// Whether mail can leave: connections to port 25 of others, which providers block more than any other port, told apart from one host that is down by
// asking several. Nothing is said but a goodbye.

import { isIP } from 'node:net';
import { findAddresses } from '#dns/mx.ts';
import { ms } from '#doctor/checks/check.ts';
import { Conversation, replyText } from '#doctor/probes/conversation.ts';
import { skipped } from './check.ts';
import type { SelfCheck, SelfContext } from './check.ts';

type Tried = { readonly outcome: 'greeted' | 'turned-away' | 'silent' | 'unknown'; readonly text: string };

export const outbound: SelfCheck = {
  id: 'outbound-25',
  title: 'delivery to others (outbound port 25)',
  async judge(context) {
    const { mxPort, references, sendsNothing, noMx } = context;
    const subject = `outbound port ${mxPort}`;
    const idle = sendsNothing ?? noMx ?? (references.length === 0 ? 'no reference host is named (doctor.references)' : null);
    if (idle !== null) return skipped(subject, idle);
    const tried = await Promise.all(references.map((host) => tryHost(host, context)));
    const evidence = tried.map(({ text }) => text).join('\n');
    const of = (outcome: Tried['outcome']): number => tried.filter((one) => one.outcome === outcome).length;
    if (of('greeted') > 0) return [{ subject, status: 'pass', evidence }];
    if (of('turned-away') > 0)
      return [
        {
          subject,
          status: 'warn',
          title: 'others turn this server away',
          evidence,
          cause: 'The network lets mail out, but receivers refuse this address at once: it is on a blocklist, or has no name (PTR).',
          fix: 'Read the replies: they often name the list. Give the address a PTR record, and see "postern doctor" of your domain for blocklists.',
        },
      ];
    if (of('silent') === 0) return skipped(subject, evidence);
    return [
      {
        subject,
        status: 'fail',
        title: `outbound port ${mxPort} is blocked`,
        evidence,
        cause: 'The provider, the cloud or a firewall lets no connection to mail hosts out: mail waits in the queue and bounces when its time is over.',
        fix: 'Have the provider open outbound port 25, or deliver through a relay: [[route]] with type = "smarthost", which goes by 465, 587 or 2525.',
      },
    ];
  },
};

async function tryHost(host: string, { resolver, context, hostname, mxPort, timeoutMs }: SelfContext): Promise<Tried> {
  const found = isIP(host) === 0 ? await findAddresses(resolver, host) : { addresses: [host] };
  // Where IPv6 is only half there, IPv4 is what mail leaves by.
  const address = 'addresses' in found ? (found.addresses.find((one) => !one.includes(':')) ?? found.addresses[0]) : undefined;
  if (address === undefined) return { outcome: 'unknown', text: `${host}: ${'failure' in found ? found.failure.detail : 'it has no address'}` };
  const opened = await Conversation.open({ host, address, port: mxPort }, { helo: hostname, context, timeoutMs });
  const where = host === address ? host : `${host} [${address}]`;
  if ('failure' in opened) return { outcome: 'silent', text: `${where}: ${opened.failure.text}` };
  const { conversation } = opened;
  conversation.wire.attach();
  const greeting = await conversation.greeting();
  conversation.quit();
  if ('failure' in greeting)
    return { outcome: greeting.failure.kind === 'timeout' ? 'greeted' : 'turned-away', text: `${where}: connected in ${ms(conversation.connectMs)}; ${greeting.failure.text}` };
  return { outcome: greeting.value.code === 220 ? 'greeted' : 'turned-away', text: `${where}: ${replyText(greeting.value).slice(0, 200)}` };
}
