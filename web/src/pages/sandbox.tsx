// Captured mail as an inbox: who it would have gone to, and what it looks like, without anything having left.

import type { ReactNode } from 'react';
import { Link, setQuery, useLocation } from '#web/base/router.tsx';
import { useApi, withQuery } from '#web/api/client.ts';
import { useVerb } from '#web/api/verbs.ts';
import { Button, ButtonLink } from '#web/parts/button.tsx';
import { useConfirm } from '#web/parts/dialog.tsx';
import { Empty, Loaded, PageHead } from '#web/parts/layout.tsx';
import { MessageBody } from '#web/parts/message-body.tsx';
import { say, sayFailure } from '#web/parts/toast.tsx';
import { When } from '#web/parts/when.tsx';

const PAGE = 50;

export default function Sandbox(): ReactNode {
  const { query } = useLocation();
  const open = query.get('open');
  const inbox = useApi('/v1/messages', { status: 'captured', limit: PAGE, before: query.get('before') }, { everyMs: 15_000, keep: true });
  const [dialog, confirm] = useConfirm();
  const remove = useVerb(() => say('Removed from the inbox.'), sayFailure);
  return (
    <>
      {dialog}
      <PageHead title="Sandbox" about="Mail of sandbox credentials, caught before it leaves. Look at it as its recipient would have." />
      <Loaded of={inbox}>
        {(data) =>
          data.messages.length === 0 ? (
            <div className="card">
              <Empty icon="sandbox" title="The inbox is empty">
                <p className="mb-3">Send something with a sandbox credential: it appears here within a moment.</p>
                <ButtonLink to="/credentials" icon="key">
                  To the credentials
                </ButtonLink>
              </Empty>
            </div>
          ) : (
            <div className="grid items-start gap-4 lg:grid-cols-[minmax(280px,360px)_minmax(0,1fr)]">
              <div className={`card overflow-hidden ${open === null ? '' : 'max-lg:hidden'}`}>
                <ul aria-label="Captured messages">
                  {data.messages.map((message) => (
                    <li key={message.id} className="border-b border-line last:border-0">
                      <Link
                        to={withQuery('/sandbox', { open: message.id, before: query.get('before') })}
                        aria-current={open === message.id ? 'true' : undefined}
                        className={`block px-4 py-2.5 text-ink no-underline ${open === message.id ? 'bg-accent-wash' : 'hover:bg-sunken'}`}
                      >
                        <span className="flex justify-between gap-3">
                          <span className="truncate font-medium">{message.subject === '' ? '(no subject)' : message.subject}</span>
                          <span className="shrink-0 text-[12px] text-soft">
                            <When at={message.acceptedAt} />
                          </span>
                        </span>
                        <span className="block truncate text-[13px] text-soft">to {message.to.join(', ')}</span>
                        <span className="block truncate text-[12px] text-soft">by {message.credential ?? message.profile}</span>
                      </Link>
                    </li>
                  ))}
                </ul>
                {data.next !== null && (
                  <div className="border-t border-line p-2 text-right">
                    <Button kind="quiet" icon="next" onClick={() => setQuery({ before: data.next, open: null })}>
                      Older
                    </Button>
                  </div>
                )}
              </div>
              {open === null ? (
                <div className="card hidden lg:block">
                  <Empty icon="messages" title="Choose a message" />
                </div>
              ) : (
                <article className="min-w-0">
                  <div className="mb-3 flex flex-wrap justify-between gap-2">
                    <Button kind="quiet" icon="back" className="lg:invisible" onClick={() => setQuery({ open: null })}>
                      Inbox
                    </Button>
                    <span className="flex gap-2">
                      <ButtonLink to={`/messages/${open}`}>Trace</ButtonLink>
                      <Button
                        kind="danger"
                        onClick={() =>
                          confirm({
                            title: 'Remove this message?',
                            text: 'Its content is deleted. What happened to it stays in the messages.',
                            verb: 'Remove',
                            danger: true,
                            act: () => remove.mutateAsync({ verb: 'cancel', selection: { by: 'message', id: open } }).then(() => setQuery({ open: null })),
                          })
                        }
                      >
                        Remove
                      </Button>
                    </span>
                  </div>
                  <MessageBody id={open} mode="sandbox" key={open} />
                </article>
              )}
            </div>
          )
        }
      </Loaded>
    </>
  );
}
