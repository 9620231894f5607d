// What an animal of the zoo is: a server or a domain with one planted fault (or none), what keeps it, and what the doctor has to say of it.

import type { OpenSsl } from './keepers/openssl.ts';
import type { Postfix as PostfixService } from './keepers/postfix.ts';
import type { Exim } from './keepers/exim.ts';
import type { OpenSmtpd } from './keepers/opensmtpd.ts';
import type { Dovecot } from './keepers/dovecot.ts';
import type { Stunnel } from './keepers/stunnel.ts';
import type { HaProxy } from './keepers/haproxy.ts';
import type { Nginx } from './keepers/nginx.ts';
import type { Socat } from './keepers/socat.ts';
import type { Python } from './keepers/python.ts';
import type { Firewall } from './keepers/firewall.ts';
import type { Zones } from './keepers/zones.ts';
import type { PosternServer } from './keepers/postern.ts';

export type Kept = PostfixService | Exim | OpenSmtpd | Dovecot | Stunnel | HaProxy | Nginx | Socat | Python | Firewall | Zones | PosternServer | OpenSsl;

/** The finding that names the fault. All of it is asserted: `cause` and `fix` too, because a name alone mends nothing. */
export type Expected = {
  readonly check: string;
  readonly status: 'fail' | 'warn' | 'pass';
  readonly title: RegExp;
  readonly cause?: RegExp;
  readonly fix?: RegExp;
  readonly evidence: RegExp;
};

export type Animal = {
  /** Also its host: NAME.zoo.test, with an address of its own. */
  readonly name: string;
  /** null: healthy, and nothing may be found. */
  readonly fault: string | null;
  readonly keep: readonly Kept[];
  /** Other animals that have to be there too. */
  readonly beside?: readonly string[];
  /** What the doctor is asked about; default: the first port that is kept. `HOST` stands for its name. */
  readonly target?: string;
  readonly args?: readonly string[];
  /** A password in the environment of the doctor. */
  readonly password?: string;
  readonly expect: Expected | null;
  /** Checks that the same fault shows in too; anything else that is not right is a false alarm. */
  readonly follows?: readonly string[];
};

export const hostOf = (name: string): string => `${name}.zoo.test`;

/** The address that is on the blocklist of the zoo, list.test. */
export const LISTED = '192.0.2.66';
