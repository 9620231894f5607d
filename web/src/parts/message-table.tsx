// Messages as rows: who, what, and how it stands. The subject is the link.

import type { ReactNode } from 'react';
import type { MessageRow } from '#web/api/schema.ts';
import { Link } from '#web/base/router.tsx';
import { Status } from './badge.tsx';
import { When } from './when.tsx';

const SHOWN = 2;

export function MessageTable({ messages, compact = false }: { readonly messages: readonly MessageRow[]; readonly compact?: boolean }): ReactNode {
  return (
    <table className="rows stack">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Subject</th>
          <th scope="col">To</th>
          {!compact && <th scope="col">From</th>}
          {!compact && <th scope="col">Credential</th>}
          <th scope="col">Accepted</th>
        </tr>
      </thead>
      <tbody>
        {messages.map((message) => (
          <tr key={message.id} data-link>
            <td data-label="Status">
              <Status of={message.status} />
            </td>
            <td data-label="Subject" className="min-w-[180px]">
              <Link to={`/messages/${message.id}`} className="font-medium text-ink no-underline hover:underline">
                {message.subject === '' ? '(no subject)' : message.subject}
              </Link>
              {message.kind === 'dsn' && <span className="ml-1.5 text-[12px] text-soft">notification</span>}
            </td>
            <td data-label="To">
              <span>
                {message.to.slice(0, SHOWN).join(', ')}
                {message.to.length > SHOWN && <span className="text-soft"> and {message.to.length - SHOWN} more</span>}
              </span>
            </td>
            {!compact && <td data-label="From">{message.from === '' ? <span className="text-soft">(empty sender)</span> : message.from}</td>}
            {!compact && <td data-label="Credential">{message.credential}</td>}
            <td data-label="Accepted">
              <When at={message.acceptedAt} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
