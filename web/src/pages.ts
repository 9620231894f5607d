// Every page: its address, its name, its place in the navigation, and its chunk, which is loaded when somebody goes there.

import { lazy } from 'react';
import type { ComponentType } from 'react';
import type { IconName } from '#web/parts/icon.tsx';

type Page = { readonly path: string; readonly title: string; readonly icon?: IconName; readonly group?: Group; readonly view: ComponentType };
export type Group = 'Mail' | 'Setup' | 'Help';

const page = (path: string, title: string, load: () => Promise<{ default: ComponentType }>, place?: { icon: IconName; group: Group }): Page => ({
  path,
  title,
  view: lazy(load),
  ...place,
});

export const GROUPS: readonly Group[] = ['Mail', 'Setup', 'Help'];

export const PAGES: readonly Page[] = [
  page('/', 'Overview', () => import('#web/pages/overview.tsx'), { icon: 'overview', group: 'Mail' }),
  page('/messages', 'Messages', () => import('#web/pages/messages.tsx'), { icon: 'messages', group: 'Mail' }),
  page('/messages/:id', 'Message', () => import('#web/pages/message.tsx')),
  page('/sandbox', 'Sandbox', () => import('#web/pages/sandbox.tsx'), { icon: 'sandbox', group: 'Mail' }),
  page('/queue', 'Queue', () => import('#web/pages/queue.tsx'), { icon: 'queue', group: 'Mail' }),
  page('/traffic', 'Traffic', () => import('#web/pages/traffic.tsx'), { icon: 'ports', group: 'Mail' }),
  page('/credentials', 'Credentials', () => import('#web/pages/credentials.tsx'), { icon: 'key', group: 'Setup' }),
  page('/domains', 'Domains', () => import('#web/pages/domains.tsx'), { icon: 'globe', group: 'Setup' }),
  page('/domains/:name', 'Domain', () => import('#web/pages/domain.tsx')),
  page('/suppressions', 'Suppressions', () => import('#web/pages/suppressions.tsx'), { icon: 'block', group: 'Setup' }),
  page('/webhooks', 'Webhooks', () => import('#web/pages/webhooks.tsx'), { icon: 'hook', group: 'Setup' }),
  page('/settings', 'Settings', () => import('#web/pages/settings.tsx'), { icon: 'settings', group: 'Setup' }),
  page('/doctor', 'Doctor', () => import('#web/pages/doctor.tsx'), { icon: 'doctor', group: 'Help' }),
  page('/doctor/:id', 'Report', () => import('#web/pages/examination.tsx')),
  page('/advisor', 'Advisor', () => import('#web/pages/advisor.tsx'), { icon: 'advisor', group: 'Help' }),
  page('/ports', 'The four ports', () => import('#web/pages/ports.tsx'), { icon: 'ports', group: 'Help' }),
];

export const NOT_FOUND = lazy(() => import('#web/pages/not-found.tsx'));
