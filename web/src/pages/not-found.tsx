// An address that leads nowhere.

import type { ReactNode } from 'react';
import { ButtonLink } from '#web/parts/button.tsx';
import { Empty } from '#web/parts/layout.tsx';

export default function NotFound(): ReactNode {
  return (
    <Empty icon="search" title="There is no page here">
      <p className="mb-3">The address may be mistyped, or from another version of Postern.</p>
      <ButtonLink to="/">To the overview</ButtonLink>
    </Empty>
  );
}
