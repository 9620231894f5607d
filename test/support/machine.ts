// The server's side of SMTP without a socket: the session with the real intake behind it, a queue that keeps what it is given, and a clock that
// does not wait. A connection takes microseconds.

import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { systemClock } from '#base/clock.ts';
import { createCounters, openCounters } from '#base/counters.ts';
import { openMessageIds } from '#base/id.ts';
import { silentLog } from '#base/log.ts';
import type { Log } from '#base/log.ts';
import type { Sender } from '#intake/authenticate.ts';
import { openInspector } from '#intake/inspect.ts';
import { openIntake } from '#intake/intake.ts';
import type { Returns } from '#intake/returned.ts';
import { openSigning } from '#mail/dkim/signing.ts';
import { ownPen } from '#mail/dkim/pen.ts';
import type { NewMessage } from '#queue/queue.ts';
import { commandTable } from '#smtp/commands.ts';
import type { Connection, Policy, Profile, SessionLimits } from '#smtp/policy.ts';
import { REPLIES } from '#smtp/reply.ts';
import { Session } from '#smtp/session.ts';
import type { Credential } from '#store/directory.ts';
import type { Line, Login } from './dialogue.ts';
import { plainForwarding } from './forwarding.ts';
import { zoneResolver } from './zone.ts';

/** The limits of the dialogues; the real server is configured with the same. */
export const LIMITS: SessionLimits & { readonly headerBytes: number } = {
  messageSizeBytes: 100_000,
  recipients: 5,
  authFailures: 3,
  idleCommands: 100,
  headerBytes: 20_000,
  commandTimeoutMs: 60_000,
  dataTimeoutMs: 60_000,
  sessionTimeoutMs: 3_600_000,
};
export const HOSTNAME = 'relay.test';
export const LOCAL_DOMAIN = 'local.test';
export const SENDER_DOMAIN = 'example.com';
export const LOGIN: Login = { username: 'app', password: 'pencil-of-the-tests' };

/** Turns of the event loop a reply may take: nothing here waits for time. */
const TURNS = 2000;

export type Stored = { readonly message: NewMessage; readonly content: Buffer };

export type Machine = {
  readonly policy: Policy<Sender>;
  /** What was accepted, in order. */
  readonly stored: Stored[];
  connect(profile: Profile, options?: MachineOptions): MachineLine;
};

export type MachineOptions = {
  /** Cuts what is sent into the portions it is fed in. Default: as it is sent. */
  readonly cut?: (bytes: Buffer) => readonly Buffer[];
  readonly policy?: Partial<Policy<Sender>>;
  readonly limits?: Partial<SessionLimits>;
  readonly log?: Log;
};

/** Opens intake and its queue; connections share them. */
/** Nothing comes back here. */
const noReturns: Returns = { owns: () => false, admit: () => null, recognize: async () => REPLIES.noSuchReturnPath, read: () => ({ feed() {}, finish: async () => null }) };

/** Nobody here has keys. */
const unsigned = openSigning({ find: () => null, pen: ownPen, lifetimeMs: () => 1000 });

export function openMachine(): Machine {
  const stored: Stored[] = [];
  const chunks = new Map<string, Buffer[]>();
  const credential = credentialOf(LOGIN);
  const policy = openIntake({
    hostname: HOSTNAME,
    queue: {
      async write(id, n, chunk) {
        const list = chunks.get(id) ?? [];
        list[n] = chunk;
        chunks.set(id, list);
      },
      abandon: (id) => void chunks.delete(id),
      async accept(message) {
        stored.push({ message, content: Buffer.concat([...(chunks.get(message.envelope.id) ?? []), ...message.tail]) });
        return [];
      },
    },
    directory: { credential: async (username) => (username === credential.username ? credential : null), current: () => true, domain: async () => null, domains: async () => [] },
    counters: openCounters(createCounters({ threads: 1 }), 0),
    clock: { nowMs: () => Date.now(), after: (_delayMs, fn) => cancelOf(setImmediate(fn)) },
    log: silentLog,
    newId: openMessageIds(),
    decoySecret: Buffer.from('of the tests'),
    limits: () => ({
      connections: 1000,
      connectionsPerAddress: 1000,
      authFailures: LIMITS.authFailures,
      hops: 100,
      headerBytes: LIMITS.headerBytes,
      memoryBytes: 100_000_000,
      maxAgeMs: 1000,
      delayWarningMs: null,
    }),
    isLocal: (domain) => domain === LOCAL_DOMAIN,
    localDomain: () => LOCAL_DOMAIN,
    laneFor: (domain) => `mx:${domain}`,
    signing: unsigned,
    returns: noReturns,
    inspector: openInspector({
      hostname: HOSTNAME,
      resolver: zoneResolver({}),
      clock: systemClock,
      settings: () => ({ dmarc: 'off', dnsTimeoutMs: 1000, trustedSealers: [] }),
      isTrusted: () => false,
      pen: ownPen,
      log: silentLog,
    }),
    forwarding: plainForwarding({ isLocal: (domain) => domain === LOCAL_DOMAIN }),
    deliver() {},
  });
  return { policy, stored, connect: (profile, options = {}) => new MachineLine(policy, profile, options) };
}

/** One connection. */
export class MachineLine implements Line {
  readonly connection: Connection<Sender>;
  readonly session: Session<Sender>;
  readonly #cut: (bytes: Buffer) => readonly Buffer[];
  #text = '';
  #closed = false;
  handshakes = 0;

  constructor(policy: Policy<Sender>, profile: Profile, options: MachineOptions) {
    this.#cut = options.cut ?? ((bytes) => [bytes]);
    this.connection = {
      id: 'machine',
      profile,
      clientAddress: '192.0.2.1',
      clientPort: 4000,
      localAddress: '192.0.2.2',
      localPort: 25,
      helo: null,
      extended: false,
      tls: null,
      identity: null,
    };
    this.session = new Session<Sender>({
      connection: this.connection,
      policy: { ...policy, ...options.policy },
      limits: { ...LIMITS, ...options.limits },
      hostname: HOSTNAME,
      commands: commandTable<Sender>(),
      log: options.log ?? silentLog,
      io: {
        write: (text) => (this.#text += Buffer.from(text, 'utf8').toString('latin1')),
        startTls: () => this.handshakes++,
        pause() {},
        resume() {},
        end: () => (this.#closed = true),
        timeout() {},
      },
    });
    if (profile === 'submissions') this.#secured();
    void this.session.admit();
    this.session.start();
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Buffer): void {
    for (const portion of this.#cut(bytes)) if (!this.#closed) this.session.feed(portion);
  }

  async reply(): Promise<string> {
    for (let turn = 0; turn < TURNS; turn++) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/.exec(this.#text);
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length);
        return match[0].slice(0, -2);
      }
      if (this.#closed && this.#text === '') return 'closed';
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`no reply; so far ${JSON.stringify(this.#text)}`);
  }

  /** Everything said until nothing more comes of what was sent. */
  async all(): Promise<string> {
    for (let calm = 0, before = ''; calm < 20; calm = before === this.#text ? calm + 1 : 0) {
      before = this.#text;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return this.#text;
  }

  async handshake(): Promise<void> {
    this.#secured();
  }

  binding(type: string): Buffer {
    return Buffer.from(`binding of type ${type}`);
  }

  #secured(): void {
    this.session.secured({ protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', serverName: null }, (type) => (type === 'tls-unique' ? null : this.binding(type)));
  }
}

function cancelOf(immediate: NodeJS.Immediate): () => void {
  return () => clearImmediate(immediate);
}

function credentialOf({ username, password }: Login): Credential {
  const salt = Buffer.from('salt of the tests');
  const salted = pbkdf2Sync(password, salt, 4096, 32, 'sha256');
  const key = (label: string): Buffer => createHmac('sha256', salted).update(label).digest();
  return {
    name: username,
    username,
    domains: [SENDER_DOMAIN],
    mode: 'sandbox',
    allowIps: [],
    project: null,
    ratePerHour: null,
    createdAtMs: 0,
    rotatedAtMs: null,
    revokedAtMs: null,
    lastUsedAtMs: null,
    secretHash: createHash('sha256').update(password).digest(),
    scram: { salt, iterations: 4096, storedKey: createHash('sha256').update(key('Client Key')).digest(), serverKey: key('Server Key') },
  };
}
