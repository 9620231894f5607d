// An advice for people: the answer in a line, the reasons, what was seen, what else would do, and the configuration to copy.

import { styleText } from 'node:util';
import type { Advice, Encryption } from '#advise/advise.ts';
import type { Standing } from '#advise/evidence.ts';
import { safe } from '#cli/output.ts';

export const ENCRYPTION: Readonly<Record<Encryption, string>> = { 'starttls-required': 'STARTTLS, required', 'implicit-tls': 'TLS from the first byte', https: 'HTTPS' };

const MARKS: Readonly<Record<Standing, { readonly symbol: string; readonly colour: 'green' | 'yellow' | 'red' | 'dim' }>> = {
  works: { symbol: '✓', colour: 'green' },
  open: { symbol: '✓', colour: 'green' },
  unverified: { symbol: '!', colour: 'yellow' },
  unknown: { symbol: '·', colour: 'dim' },
  'server-only': { symbol: '·', colour: 'dim' },
  'no-login': { symbol: '✗', colour: 'red' },
  'wrong-tls': { symbol: '✗', colour: 'red' },
  blocked: { symbol: '✗', colour: 'red' },
  silent: { symbol: '✗', colour: 'red' },
  closed: { symbol: '✗', colour: 'red' },
};

export type TextOptions = { readonly colour: boolean; readonly width: number };

export function adviceText(advice: Advice, options: TextOptions): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string): string => (options.colour ? styleText(style, text, { validateStream: false }) : text);
  const fold = (text: string, indent: number): string => folded(safe(text), { width: options.width, indent });
  const head = (text: string): string => paint('bold', text);
  const { port, encryption, alternatives, listeners, evidence, notes, snippet, library } = advice;
  const parts = [`${head(`Port ${port}, ${ENCRYPTION[encryption]}`)}  (${safe(advice.host)})`, fold(advice.why, 0)];
  if (evidence.length > 0) {
    const rows = evidence.map(({ port: of, standing, text }) => `  ${paint(MARKS[standing].colour, MARKS[standing].symbol)} ${String(of).padEnd(5)} ${fold(text, 10)}`);
    parts.push([head('What is known of the ports'), ...rows].join('\n'));
  }
  if (listeners.length > 0)
    parts.push(
      [head('What the server does'), ...listeners.map(({ port: of, direction, use, encryption: how }) => `  ${`${of} ${direction}`.padEnd(8)}${fold(`${use} ${how}.`, 10)}`)].join(
        '\n',
      ),
    );
  if (alternatives.length > 0)
    parts.push([head('What else would do'), ...alternatives.map((one) => `  ${String(one.port).padEnd(8)}${fold(`${ENCRYPTION[one.encryption]}. ${one.why}`, 10)}`)].join('\n'));
  if (notes.length > 0) parts.push([head('Mind'), ...notes.map((note) => `  - ${fold(note, 4)}`)].join('\n'));
  if (snippet !== null && library !== null) parts.push(`${head(`${library.name}: ${library.file}`)}\n\n${snippet.trimEnd()}`);
  return parts.join('\n\n');
}

/** Lines no longer than the terminal, those behind the first with this indent. */
export function folded(text: string, { width, indent }: { readonly width: number; readonly indent: number }): string {
  const room = Math.max(30, width - indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}
