// Who may do what here, and what was done: tokens of programs, and the audit log.

import type { ReactNode } from 'react';
import { PageHead } from '#web/parts/layout.tsx';
import { Tabs } from '#web/parts/tabs.tsx';
import { Audit } from '#web/settings/audit.tsx';
import { Tokens } from '#web/settings/tokens.tsx';

export default function Settings(): ReactNode {
  return (
    <>
      <PageHead title="Settings" />
      <Tabs
        label="Settings"
        tabs={[
          { id: 'tokens', label: 'API tokens', body: <Tokens /> },
          { id: 'audit', label: 'Audit log', body: <Audit /> },
        ]}
      />
    </>
  );
}
