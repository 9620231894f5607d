// Buttons, and links that look like them.

import type { ButtonHTMLAttributes, ReactNode } from 'react';
import { Link } from '#web/base/router.tsx';
import { Icon } from './icon.tsx';
import type { IconName } from './icon.tsx';

type Kind = 'primary' | 'plain' | 'quiet' | 'danger';

const LOOKS: Readonly<Record<Kind, string>> = {
  primary: 'bg-accent text-on-accent border-transparent hover:bg-accent-strong',
  plain: 'bg-panel text-ink border-line hover:border-line-strong',
  quiet: 'bg-transparent text-soft border-transparent hover:bg-sunken hover:text-ink',
  danger: 'bg-panel text-bad border-line hover:border-bad hover:bg-bad-wash',
};
const SHAPE =
  'inline-flex items-center justify-center gap-1.5 min-h-[34px] px-3 rounded-lg border font-medium whitespace-nowrap no-underline transition-colors disabled:opacity-55 disabled:pointer-events-none';

export const look = (kind: Kind): string => `${SHAPE} ${LOOKS[kind]}`;

type Props = { readonly kind?: Kind; readonly icon?: IconName; readonly busy?: boolean; readonly children?: ReactNode };

export function Button({ kind = 'plain', icon, busy = false, children, className = '', ...rest }: Props & ButtonHTMLAttributes<HTMLButtonElement>): ReactNode {
  return (
    <button type="button" {...rest} className={`${look(kind)} ${className}`} disabled={rest.disabled === true || busy} aria-busy={busy || undefined}>
      {icon !== undefined && <Icon name={icon} size={16} />}
      {children}
    </button>
  );
}

/** Only an icon; its name is for those who do not see it, and the hint. */
export function IconButton({ name, icon, className = '', ...rest }: { readonly name: string; readonly icon: IconName } & ButtonHTMLAttributes<HTMLButtonElement>): ReactNode {
  return (
    <button
      type="button"
      title={name}
      aria-label={name}
      {...rest}
      className={`inline-grid size-[34px] shrink-0 place-items-center rounded-lg text-soft hover:bg-sunken hover:text-ink ${className}`}
    >
      <Icon name={icon} />
    </button>
  );
}

export function ButtonLink({ to, kind = 'plain', icon, children }: Props & { readonly to: string }): ReactNode {
  return (
    <Link to={to} className={look(kind)}>
      {icon !== undefined && <Icon name={icon} size={16} />}
      {children}
    </Link>
  );
}
