// Who changed what, newest first.

import type { ReactNode } from 'react';
import { setQuery, useLocation } from '#web/base/router.tsx';
import { useApi } from '#web/api/client.ts';
import type { AuditEntry } from '#web/api/schema.ts';
import { Badge } from '#web/parts/badge.tsx';
import { Button } from '#web/parts/button.tsx';
import { Empty, Loaded, Section } from '#web/parts/layout.tsx';
import { When } from '#web/parts/when.tsx';

const PAGE = 100;
const KINDS: Readonly<Record<AuditEntry['kind'], string>> = {
  socket: 'on the server',
  local: 'an account of the server',
  token: 'by token',
  session: 'signed in',
  nobody: 'unknown',
};

export function Audit(): ReactNode {
  const { query } = useLocation();
  const answer = useApi('/v1/audit', { limit: PAGE, before: query.get('before') }, { keep: true });
  const next = answer.data?.next ?? null;
  return (
    <>
      <Section title="Audit log" about="Every change, and every one that was tried and refused." flush>
        <Loaded of={answer}>
          {(data) =>
            data.entries.length === 0 ? (
              <Empty icon="settings" title="Nothing was changed yet" />
            ) : (
              <table className="rows stack">
                <thead>
                  <tr>
                    <th scope="col">When</th>
                    <th scope="col">Who</th>
                    <th scope="col">Did</th>
                    <th scope="col">To</th>
                    <th scope="col">From</th>
                  </tr>
                </thead>
                <tbody>
                  {data.entries.map((entry) => (
                    <tr key={entry.id}>
                      <td data-label="When">
                        <When at={entry.at} />
                      </td>
                      <td data-label="Who">
                        <span>
                          {entry.name} <span className="text-[12px] text-soft">{KINDS[entry.kind]}</span>
                        </span>
                      </td>
                      <td data-label="Did">
                        <span>
                          {words(entry.action)} {entry.status >= 400 && <Badge tone="bad">refused</Badge>}
                        </span>
                      </td>
                      <td data-label="To" className="font-mono text-[12.5px]">
                        {entry.target}
                      </td>
                      <td data-label="From">{entry.address ?? 'the socket'}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Loaded>
      </Section>
      {next !== null && (
        <div className="flex justify-end">
          <Button icon="next" onClick={() => setQuery({ before: String(next) })}>
            Older
          </Button>
        </div>
      )}
    </>
  );
}

/** `rotateCredential` as `rotate credential`. */
function words(action: string): string {
  return action.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
