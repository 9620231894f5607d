// Fields of forms: a label that is tied to its control, a hint, and what the server said of it.

import { useId } from 'react';
import type { InputHTMLAttributes, ReactNode, SelectHTMLAttributes } from 'react';

type Shared = { readonly label: string; readonly hint?: ReactNode; readonly hideLabel?: boolean };

function Around({ id, label, hint, hideLabel = false, children }: Shared & { readonly id: string; readonly children: ReactNode }): ReactNode {
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className={hideLabel ? 'sr-only' : 'text-[13px] font-medium'}>
        {label}
      </label>
      {children}
      {hint !== undefined && (
        <p id={`${id}-hint`} className="text-[12.5px] text-soft">
          {hint}
        </p>
      )}
    </div>
  );
}

const described = (id: string, hint: ReactNode): { 'aria-describedby'?: string } => (hint === undefined ? {} : { 'aria-describedby': `${id}-hint` });

export function TextField({ label, hint, hideLabel, className = '', ...rest }: Shared & InputHTMLAttributes<HTMLInputElement>): ReactNode {
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} {...(hideLabel === undefined ? {} : { hideLabel })}>
      <input id={id} autoComplete="off" spellCheck={false} {...described(id, hint)} {...rest} className={`field w-full ${className}`} />
    </Around>
  );
}

export function Choice({
  label,
  hint,
  hideLabel,
  options,
  className = '',
  ...rest
}: Shared & { readonly options: readonly (readonly [value: string, label: string])[] } & SelectHTMLAttributes<HTMLSelectElement>): ReactNode {
  const id = useId();
  return (
    <Around id={id} label={label} hint={hint} {...(hideLabel === undefined ? {} : { hideLabel })}>
      <select id={id} {...described(id, hint)} {...rest} className={`field ${className}`}>
        {options.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </Around>
  );
}

export function Check({ label, hint, ...rest }: Shared & InputHTMLAttributes<HTMLInputElement>): ReactNode {
  const id = useId();
  return (
    <div className="flex gap-2.5">
      <input id={id} type="checkbox" {...described(id, hint)} {...rest} className="mt-1 size-4 shrink-0 accent-accent" />
      <div>
        <label htmlFor={id} className="font-medium">
          {label}
        </label>
        {hint !== undefined && (
          <p id={`${id}-hint`} className="text-[12.5px] text-soft">
            {hint}
          </p>
        )}
      </div>
    </div>
  );
}

/** One of a few, all of them seen. */
export function Cards<T extends string>({
  label,
  value,
  onChange,
  options,
}: {
  readonly label: string;
  readonly value: T;
  readonly onChange: (value: T) => void;
  readonly options: readonly { readonly value: T; readonly title: string; readonly text: string }[];
}): ReactNode {
  const name = useId();
  return (
    <fieldset className="min-w-0">
      <legend className="mb-1 text-[13px] font-medium">{label}</legend>
      <div className="grid gap-2 sm:grid-cols-2">
        {options.map((option) => (
          <label
            key={option.value}
            className="flex cursor-pointer gap-2.5 rounded-lg border border-line bg-panel p-3 has-checked:border-accent has-checked:bg-accent-wash has-focus-visible:outline-2 has-focus-visible:outline-accent"
          >
            <input type="radio" name={name} checked={value === option.value} onChange={() => onChange(option.value)} className="mt-1 accent-accent" />
            <span>
              <span className="block font-medium">{option.title}</span>
              <span className="block text-[13px] text-soft">{option.text}</span>
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
