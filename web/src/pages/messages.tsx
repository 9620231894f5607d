// Every message, newest first, by what one remembers of it. Filters are part of the address.

import type { ReactNode } from 'react';
import { navigate, setQuery, useLocation } from '#web/base/router.tsx';
import { useApi } from '#web/api/client.ts';
import type { MessageRow } from '#web/api/schema.ts';
import { Button } from '#web/parts/button.tsx';
import { Choice } from '#web/parts/form.tsx';
import { Empty, Loaded, PageHead, Section } from '#web/parts/layout.tsx';
import { MessageTable } from '#web/parts/message-table.tsx';
import { SearchField } from '#web/parts/search-field.tsx';

const STATUSES: readonly MessageRow['status'][] = ['queued', 'delivered', 'deferred', 'bounced', 'expired', 'captured', 'held', 'partial', 'cancelled'];
const SPANS = [
  ['', 'at any time'],
  ['1h', 'in the last hour'],
  ['24h', 'in the last day'],
  ['7d', 'in the last week'],
] as const;
const PAGE = 50;

export default function Messages(): ReactNode {
  const { query } = useLocation();
  const filter = {
    text: query.get('text'),
    status: query.get('status'),
    to: query.get('to'),
    from: query.get('from'),
    credential: query.get('credential'),
    since: query.get('since'),
    before: query.get('before'),
  };
  const answer = useApi('/v1/messages', { ...filter, limit: PAGE }, { keep: true, everyMs: 30_000 });
  const credentials = useApi('/v1/credentials', {});
  const filtered = Object.entries(filter).some(([name, value]) => name !== 'before' && value !== null);
  const narrow = (changes: Readonly<Record<string, string>>): void => setQuery({ ...changes, before: null });
  return (
    <>
      <PageHead title="Messages" about="Everything that was accepted here, with what became of it." />
      <form
        role="search"
        className="mb-4 grid grid-cols-2 items-end gap-2 sm:grid-cols-3 lg:grid-cols-[1.4fr_1fr_1fr_auto_auto_auto_auto]"
        onSubmit={(event) => event.preventDefault()}
      >
        <SearchField label="Search" placeholder="word, address or id" value={filter.text ?? ''} onDone={(text) => narrow({ text })} />
        <SearchField label="To" placeholder="address or domain" value={filter.to ?? ''} onDone={(to) => narrow({ to })} />
        <SearchField label="From" placeholder="address or domain" value={filter.from ?? ''} onDone={(from) => narrow({ from })} />
        <Choice
          label="Status"
          value={filter.status ?? ''}
          onChange={(event) => narrow({ status: event.target.value })}
          options={[['', 'any'], ...STATUSES.map((status) => [status, status === 'partial' ? 'partly delivered' : status] as const)]}
        />
        <Choice
          label="Credential"
          value={filter.credential ?? ''}
          onChange={(event) => narrow({ credential: event.target.value })}
          options={[['', 'any'], ...(credentials.data?.credentials ?? []).map(({ name }) => [name, name] as const)]}
        />
        <Choice label="Changed" value={filter.since ?? ''} onChange={(event) => narrow({ since: event.target.value })} options={SPANS} />
        {filtered && (
          <Button kind="quiet" icon="close" onClick={() => navigate('/messages')}>
            Clear
          </Button>
        )}
      </form>
      <Section flush>
        <Loaded of={answer}>
          {({ messages }) =>
            messages.length > 0 ? (
              <MessageTable messages={messages} />
            ) : filtered ? (
              <Empty icon="search" title="No message is like that">
                Take a filter away, or look further back. History is kept for as long as [queue] history says.
              </Empty>
            ) : (
              <Empty icon="messages" title="Nothing was sent yet">
                Make a credential, take its snippet, and the first message appears here by itself.
              </Empty>
            )
          }
        </Loaded>
      </Section>
      <div className="flex justify-between">
        {query.get('before') === null ? (
          <span />
        ) : (
          <Button icon="back" onClick={() => setQuery({ before: null })}>
            Newest
          </Button>
        )}
        {answer.data?.next !== null && answer.data !== undefined && (
          <Button icon="next" onClick={() => setQuery({ before: answer.data.next })}>
            Older
          </Button>
        )}
      </div>
    </>
  );
}
