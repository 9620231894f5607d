// The events of a sink and its summary as lines for people.

import { sizeText } from '#cli/format.ts';
import type { SinkEvent } from '#sink/events.ts';
import type { Counts } from '#sink/world.ts';

/** One line, or null: nothing that people want to see. */
export function eventText(event: SinkEvent): string | null {
  const text = words(event);
  return text === null ? null : `${new Date().toISOString().slice(11, 23)} #${event.connection} ${text}`;
}

function words(event: SinkEvent): string | null {
  switch (event.event) {
    case 'connected':
      return `connected from ${event.client} port ${event.port}`;
    case 'early-talk':
      return 'EARLY: the client spoke before the greeting';
    case 'tls':
      return `${event.protocol} ${event.cipher}${event.serverName === null ? '' : `, asked for ${event.serverName}`}`;
    case 'tls-failed':
      return `no TLS: ${event.cause}`;
    case 'said':
      return `${event.direction} ${event.text}`;
    case 'login':
      return `${event.inClear ? 'PASSWORD IN THE CLEAR: ' : ''}login as ${event.username} ${event.accepted ? 'taken' : 'refused'}`;
    case 'refused':
      return `refused ${event.step}: ${[event.code, event.enhanced, event.text].filter((part) => part !== '').join(' ')}${by(event.personality)}`;
    case 'acted':
      return `${event.step}: ${event.act}${by(event.personality)}`;
    case 'message':
      return `message <${event.from}> to ${event.to.map((to) => `<${to}>`).join(' ')}, ${sizeText(event.sizeBytes)}, ${event.subject === null ? 'no subject' : JSON.stringify(event.subject)}${
        event.file === null ? '' : `: ${event.file}`
      }`;
    case 'fault':
      return `FAULT of the sink: ${event.cause}`;
    case 'disconnected':
      return `closed after ${event.durationMs} ms`;
  }
}

function by(personality: string | null): string {
  return personality === null ? '' : ` (${personality})`;
}

export function summaryText(counts: Counts, seconds: number): string {
  const lines = [
    `${plural(counts.messages, 'message')} to ${plural(counts.recipients, 'recipient')}, ${sizeText(counts.bytes)}, on ${plural(counts.connections, 'connection')} (${counts.secured} with TLS, ${
      counts.tlsFailed
    } failed TLS) in ${seconds.toFixed(1)} s`,
    ...[...counts.refused].map(([what, number]) => `  refused  ${number} x ${what}`),
    ...[...counts.acted].map(([what, number]) => `  acted    ${number} x ${what}`),
  ];
  if (counts.loginsInClear > 0) lines.push(`  PASSWORDS IN THE CLEAR: ${counts.loginsInClear}`);
  return lines.join('\n');
}

function plural(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}
