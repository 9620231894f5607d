// Dialogues as data (test/dialogues/README.md says how they are written): read from their files, and played on any line that takes bytes and
// gives replies, so that one file runs on the bare machine and on the real port.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Profile } from '#smtp/policy.ts';

/** Where a dialogue begins: before the greeting, after EHLO, after TLS and EHLO, or logged in. */
type Begin = 'connect' | 'ehlo' | 'tls' | 'auth';
type Step =
  | { readonly is: 'send'; readonly text: string; readonly line: number }
  | { readonly is: 'reply' | 'not'; readonly pattern: string; readonly line: number }
  | { readonly is: 'handshake' | 'packet'; readonly line: number };

export type Dialogue = {
  readonly file: string;
  readonly title: string;
  readonly line: number;
  readonly profile: Profile;
  readonly begin: Begin;
  readonly steps: readonly Step[];
};

/** Who talks to the server: the machine without sockets, or a real connection. */
export type Line = {
  send(bytes: Buffer): void;
  /** The next whole reply without its last line end; `closed` when the server has ended the connection. */
  reply(): Promise<string>;
  /** The TLS handshake after the server's 220. */
  handshake(): Promise<void>;
  /** Channel binding of this connection as the client has it. */
  binding(type: string): Buffer;
};

export type Login = { readonly username: string; readonly password: string };

const DIRECTORY = new URL('../dialogues/', import.meta.url).pathname;
const PROFILES = ['mx', 'submissions', 'submission', 'alternate'];
const BEGINS = ['connect', 'ehlo', 'tls', 'auth'];

/** All dialogues of all files. */
export function readDialogues(): Dialogue[] {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'));
  return names.toSorted().flatMap((name) => parseDialogues(name, readFileSync(join(DIRECTORY, name), 'utf8')));
}

/** The dialogues of one file. Throws for a line that means nothing. */
export function parseDialogues(file: string, source: string): Dialogue[] {
  const dialogues: { -readonly [K in keyof Dialogue]: Dialogue[K] }[] = [];
  const defaults: { profile: Profile; begin: Begin } = { profile: 'mx', begin: 'ehlo' };
  source.split('\n').forEach((text, i) => {
    const line = i + 1;
    const last = dialogues.at(-1);
    const [word = ''] = text.split(' ', 1);
    const rest = text.slice(word.length + 1);
    const add = (step: Step): void => {
      assert.ok(last !== undefined, `${file}:${line}: a dialogue begins with "== title"`);
      last.steps = [...last.steps, step];
    };
    if (text.trim() === '' || text.startsWith('#')) return;
    if (word === '==') dialogues.push({ file, title: rest, line, ...defaults, steps: [] });
    else if (word === '@profile' && PROFILES.includes(rest)) (last ?? defaults).profile = rest as Profile;
    else if (word === '@begin' && BEGINS.includes(rest)) (last ?? defaults).begin = rest as Begin;
    else if (text === '@handshake' || text === '@packet') add({ is: text === '@packet' ? 'packet' : 'handshake', line });
    else if (word === 'C:') add({ is: 'send', text: `${rest}\\r\\n`, line });
    else if (word === 'C>') add({ is: 'send', text: rest, line });
    else if (/^S\d*:$/.test(word)) for (let n = Number(word.slice(1, -1) || 1); n > 0; n--) add({ is: 'reply', pattern: rest, line });
    else if (word === 'S!') add({ is: 'not', pattern: rest, line });
    else assert.fail(`${file}:${line}: "${text}" means nothing`);
  });
  return dialogues;
}

/** Plays a dialogue from its beginning; fails with the file and line of the reply that is not as expected. */
export async function playDialogue(dialogue: Dialogue, on: { readonly line: Line; readonly login: Login }): Promise<void> {
  const { line, login } = on;
  const player = new Player(line, login);
  await begin(dialogue, player);
  let packet: Buffer[] = [];
  let reply = '';
  const flush = (): void => {
    if (packet.length > 0) line.send(Buffer.concat(packet));
    packet = [];
  };
  for (const step of dialogue.steps) {
    const place = `${dialogue.file}:${step.line}`;
    if (step.is === 'send') {
      packet.push(player.bytes(step.text, place));
      continue;
    }
    flush();
    if (step.is === 'handshake') await line.handshake();
    else if (step.is === 'not') assert.ok(!matches(reply, step.pattern), `${place}: must not be like ${step.pattern}\n  got ${shown(reply)}`);
    else if (step.is === 'reply') {
      reply = await player.reply(place);
      assert.ok(matches(reply, step.pattern), `${place}:\n  expected ${step.pattern}\n  got      ${shown(reply)}`);
    }
  }
  flush();
}

/** A pattern is a whole reply, its lines joined by ` / `; `*` stands for anything, a code alone for any reply with it. */
function matches(reply: string, pattern: string): boolean {
  const source = pattern
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^]*');
  return new RegExp(/^\d{3}$/.test(pattern) ? `^${pattern}[ -]` : `^${source}$`).test(shown(reply));
}

function shown(reply: string): string {
  return reply.split('\r\n').join(' / ');
}

async function begin(dialogue: Dialogue, player: Player): Promise<void> {
  const place = `${dialogue.file}:${dialogue.line}`;
  const { begin } = dialogue;
  if (begin === 'connect') return;
  const expect = async (command: string, code: string): Promise<void> => {
    if (command !== '') player.line.send(player.bytes(`${command}\\r\\n`, place));
    const reply = await player.reply(place);
    assert.ok(reply.startsWith(code), `${place}: before the dialogue, ${command}: ${reply}`);
  };
  await expect('', '220');
  await expect('EHLO client.test', '250');
  if (begin === 'ehlo') return;
  if (dialogue.profile !== 'submissions') {
    await expect('STARTTLS', '220');
    await player.line.handshake();
    await expect('EHLO client.test', '250');
  }
  if (begin === 'auth') await expect('AUTH PLAIN {base64 \\0{username}\\0{password}}', '235');
}

/** Stand for the escaped braces until the macros are done; no byte has these numbers. */
const [BRACE, UNBRACE] = ['\u0100', '\u0101'];
const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0', '{': BRACE, '}': UNBRACE };

/** What the client knows while it talks: its login, and its side of a SCRAM exchange. */
class Player {
  readonly line: Line;
  readonly #login: Login;
  #scram: { bare: string; challenge: string } | null = null;

  constructor(line: Line, login: Login) {
    this.line = line;
    this.#login = login;
  }

  async reply(place: string): Promise<string> {
    const reply = await this.line.reply().catch((error: unknown) => assert.fail(`${place}: ${String(error)}`));
    const challenge = /^334 (.+)$/.exec(reply)?.[1];
    if (challenge !== undefined && this.#scram?.challenge === '') this.#scram.challenge = Buffer.from(challenge, 'base64').toString();
    return reply;
  }

  /** The text of a line with escapes and macros undone. Characters stand for bytes. */
  bytes(text: string, place: string): Buffer {
    let raw = Buffer.from(text, 'utf8')
      .toString('latin1')
      .replace(/\\(?:x([0-9a-f]{2})|(.))/g, (_, hex?: string, character = '') =>
        hex === undefined ? (ESCAPES[character as string] ?? (character as string)) : String.fromCharCode(Number.parseInt(hex, 16)),
      );
    for (let before = ''; before !== raw;) {
      before = raw;
      raw = raw.replace(/\{([^{}]*)\}/, (_, macro: string) => this.#macro(macro, place));
    }
    return Buffer.from(raw.replaceAll(BRACE, '{').replaceAll(UNBRACE, '}'), 'latin1');
  }

  #macro(macro: string, place: string): string {
    const [name = ''] = macro.split(' ', 1);
    const rest = macro.slice(name.length + 1);
    const words = rest.split(' ');
    if (name === 'username') return this.#login.username;
    if (name === 'password') return this.#login.password;
    if (name === 'base64') return Buffer.from(rest, 'latin1').toString('base64');
    if (name === 'repeat') return rest.slice((words[0] ?? '').length + 1).repeat(Number(words[0]));
    if (name === 'scram-first') return this.#first(words);
    if (name === 'scram-final') return this.#final(words);
    return assert.fail(`${place}: there is no macro {${macro}}`);
  }

  /** `{scram-first HEADER [USER]}`: the client's first message (RFC 5802 7), base64. */
  #first([header = '', username = this.#login.username]: string[]): string {
    const bare = `n=${username},r=dialogueNonce`;
    this.#scram = { bare, challenge: '' };
    return Buffer.from(`${header}${bare}`).toString('base64');
  }

  /** `{scram-final HEADER [binding=TYPE|binding=TYPE!] [nonce=TEXT] [password=TEXT]}`: the proof, base64; `!` spoils the binding. */
  #final([header = '', ...options]: string[]): string {
    const option = (name: string): string | undefined => options.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
    const { bare, challenge } = this.#scram ?? { bare: '', challenge: '' };
    const [nonce = '', salt = '', iterations = ''] = challenge.split(',').map((part) => part.slice(2));
    const type = option('binding')?.replace('!', '');
    const data = type === undefined ? Buffer.alloc(0) : Buffer.from(this.line.binding(type));
    if (option('binding')?.endsWith('!') === true) data[0] = (data[0] ?? 0) ^ 1;
    const channel = Buffer.concat([Buffer.from(header), data]).toString('base64');
    const without = `c=${channel},r=${option('nonce') ?? nonce}`;
    const salted = pbkdf2Sync(option('password') ?? this.#login.password, Buffer.from(salt, 'base64'), Number(iterations), 32, 'sha256');
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(createHash('sha256').update(clientKey).digest(), `${bare},${challenge},${without}`);
    const proof = Buffer.from(clientKey.map((byte, i) => byte ^ (signature[i] ?? 0)));
    return Buffer.from(`${without},p=${proof.toString('base64')}`).toString('base64');
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
