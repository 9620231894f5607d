// The options of the classic command, read as it reads them: letters together, values attached or apart, many that ask for nothing here. Pure.
// Which ones there are: sendmail(8), and what cron, PHP, mutt, git and s-nail give.

import { parseMailbox } from '#smtp/address.ts';

export type Notify = 'never' | readonly ('success' | 'failure' | 'delay')[];

export type Wanted =
  | {
      readonly do: 'send';
      /** As given, perhaps without a domain; `<>` and '' are the null sender. Null: not given. */
      readonly from: string | null;
      readonly fullName: string | null;
      /** Recipients are in the header. */
      readonly fromHeader: boolean;
      /** A line with a single dot is a line like any other. */
      readonly dots: boolean;
      readonly notify: Notify | null;
      readonly ret: 'full' | 'hdrs' | null;
      readonly envid: string | null;
      readonly to: readonly string[];
    }
  | { readonly do: 'smtp' }
  | { readonly do: 'queue' }
  | { readonly do: 'flush' }
  | { readonly do: 'aliases' };

export type Misuse = { readonly misuse: string };

/** Letters that take a value; attached or as the next argument. */
const VALUED = 'fFrNRVCXBhpLAoOqdbM';
/** Of these the value is attached or there is none. */
const ATTACHED_ONLY = 'qdpbo';
/** Nothing here answers to them: verbose, mailing list, quiet, ... */
const IGNORED = 'vmneGUxscEw';

const REFUSED: Readonly<Record<string, string>> = {
  d: 'The server does not run this way: start it with "postern serve" (-bd)',
  D: 'The server does not run this way: start it with "postern serve" (-bD)',
  t: 'There is no address test mode (-bt)',
  v: 'Addresses are not verified without sending (-bv): "postern advise" and "postern doctor ADDRESS" look at a receiver',
  h: 'There is no host status (-bh): see "postern queue lanes"',
  H: 'There is no host status to purge (-bH): "postern queue retry --lane LANE" tries a destination again',
};

type Draft = { -readonly [K in keyof Extract<Wanted, { do: 'send' }>]: Extract<Wanted, { do: 'send' }>[K] };

export function parseSendmail(args: readonly string[]): Wanted | Misuse {
  const draft: Draft = { do: 'send', from: null, fullName: null, fromHeader: false, dots: false, notify: null, ret: null, envid: null, to: [] };
  let mode: Exclude<Wanted['do'], 'send'> | null = null;
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (arg === '--') return finish(draft, mode, [...draft.to, ...args.slice(at + 1)]);
    if (!arg.startsWith('-') || arg === '-') {
      draft.to = [...draft.to, arg];
      continue;
    }
    for (let i = 1; i < arg.length; i++) {
      const letter = arg.charAt(i);
      if (letter === 't') draft.fromHeader = true;
      else if (letter === 'i') draft.dots = true;
      else if (letter === 'I') mode = 'aliases';
      else if (!VALUED.includes(letter)) {
        if (!IGNORED.includes(letter)) return { misuse: `-${letter} is not an option of sendmail` };
      } else {
        const attached = arg.slice(i + 1);
        const apart = attached === '' && !ATTACHED_ONLY.includes(letter);
        if (apart && args[at + 1] === undefined) return { misuse: `-${letter} needs a value` };
        const value = apart ? (args[++at] as string) : attached;
        const found = take(draft, letter, value);
        if (typeof found === 'object' && found !== null) return found;
        mode = found ?? mode;
        break;
      }
    }
  }
  return finish(draft, mode, draft.to);
}

function finish(draft: Draft, mode: Exclude<Wanted['do'], 'send'> | null, to: readonly string[]): Wanted {
  return mode === null ? { ...draft, to } : { do: mode };
}

/** Another mode, a misuse, or null: go on. */
function take(draft: Draft, letter: string, value: string): Exclude<Wanted['do'], 'send'> | Misuse | null {
  switch (letter) {
    case 'f':
    case 'r':
      draft.from = value;
      return null;
    case 'F':
      draft.fullName = value;
      return null;
    case 'N':
      return takeNotify(draft, value);
    case 'R':
      if (!/^(full|hdrs)$/i.test(value)) return { misuse: `-R ${value}: write full or hdrs` };
      draft.ret = value.toLowerCase() === 'full' ? 'full' : 'hdrs';
      return null;
    case 'V':
      if (!/^[\x21-\x7e]{1,100}$/.test(value)) return { misuse: `-V ${value}: write up to 100 printable characters` };
      draft.envid = value;
      return null;
    case 'o':
      // -oi is -i; all others are switches of other servers.
      if (value === 'i') draft.dots = true;
      return null;
    case 'b':
      return modeOf(value);
    case 'q':
      return value === '' || /^[IRS!]/.test(value) ? 'flush' : { misuse: `-q${value}: the queue is worked on all the time; -q alone tries all that waits now` };
    default:
      return null;
  }
}

function takeNotify(draft: Draft, value: string): Misuse | null {
  const words = value.toLowerCase().split(',');
  if (words.length === 1 && words[0] === 'never') draft.notify = 'never';
  else {
    const kinds = words.filter((word) => word === 'success' || word === 'failure' || word === 'delay');
    if (kinds.length !== words.length) return { misuse: `-N ${value}: write never, or success, failure and delay with commas between` };
    draft.notify = kinds;
  }
  return null;
}

function modeOf(value: string): Exclude<Wanted['do'], 'send'> | Misuse | null {
  if (value === 'm' || value === 'a') return null;
  if (value === 's') return 'smtp';
  if (value === 'p') return 'queue';
  if (value === 'i') return 'aliases';
  return { misuse: REFUSED[value] ?? `-b${value} is not a mode of sendmail here` };
}

/** An address of the command line: in angle brackets or not, with a name or not; without a domain it is of `domain`. Null: none can be read. */
export function readRecipient(text: string, domain: () => string): string | null {
  const [, inside] = /<([^<>]*)>\s*$/.exec(text) ?? [];
  const bare = (inside ?? text).trim();
  const address = bare.includes('@') ? bare : `${bare}@${domain()}`;
  return bare !== '' && parseMailbox(address) !== null ? address : null;
}
