// What is to be taken elsewhere: text with a button that copies it, and blocks of code.

import { useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { Icon } from './icon.tsx';
import { sayFailure } from './toast.tsx';

const SHOWN_MS = 2_000;

/** The clipboard needs a secure context; where there is none (plain HTTP to another machine) the old way still works. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined && isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'fixed opacity-0';
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  if (!done) throw new Error('The browser does not let this page copy. Select the text and copy it by hand.');
}

export function CopyButton({ text, label }: { readonly text: string; /** What is copied, as in "Copy the password". */ readonly label: string }): ReactNode {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      aria-label={copied ? 'Copied' : `Copy ${label}`}
      title={`Copy ${label}`}
      className={`inline-flex h-7 shrink-0 items-center gap-1 rounded-md px-1.5 text-[12px] hover:bg-sunken ${copied ? 'text-good' : 'text-soft hover:text-ink'}`}
      onClick={() => void copyText(text).then(() => setCopied(true), sayFailure)}
    >
      <Icon name={copied ? 'check' : 'copy'} size={15} />
      {copied && 'Copied'}
    </button>
  );
}

/** One value in the font of machines, with its button. */
export function Copyable({ text, label }: { readonly text: string; readonly label: string }): ReactNode {
  return (
    <span className="inline-flex max-w-full items-start gap-1">
      <code className="min-w-0 font-mono text-[12.5px] leading-7 [overflow-wrap:anywhere]">{text}</code>
      <CopyButton text={text} label={label} />
    </span>
  );
}

export function CodeBlock({ text, label, wrap = false }: { readonly text: string; readonly label: string; readonly wrap?: boolean }): ReactNode {
  return (
    <div className="relative">
      <pre className={`code max-h-[480px] ${wrap ? 'wrap' : ''}`} tabIndex={0} role="region" aria-label={label}>
        {text}
      </pre>
      <div className="absolute top-1.5 right-1.5 rounded-md bg-sunken">
        <CopyButton text={text} label={label} />
      </div>
    </div>
  );
}
