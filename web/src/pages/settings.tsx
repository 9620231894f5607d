// Who may do what here, and what was done: one's own account, other people, tokens of programs, and the audit log.

import type { ReactNode } from 'react';
import { PageHead } from '#web/parts/layout.tsx';
import { Tabs } from '#web/parts/tabs.tsx';
import { Account } from '#web/settings/account.tsx';
import { Audit } from '#web/settings/audit.tsx';
import { People } from '#web/settings/people.tsx';
import { Tokens } from '#web/settings/tokens.tsx';

export default function Settings(): ReactNode {
  return (
    <>
      <PageHead title="Settings" />
      <Tabs
        label="Settings"
        tabs={[
          { id: 'account', label: 'Your account', body: <Account /> },
          { id: 'people', label: 'People', body: <People /> },
          { id: 'tokens', label: 'API tokens', body: <Tokens /> },
          { id: 'audit', label: 'Audit log', body: <Audit /> },
        ]}
      />
    </>
  );
}
