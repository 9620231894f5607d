// What is around every page: navigation beside it (a drawer where it is narrow), theme, and what went wrong while a page was drawn.

import { Dialog } from '@base-ui/react/dialog';
import { Component, Suspense, useEffect, useState } from 'react';
import type { ReactNode } from 'react';
import { useLive } from '#web/api/live.ts';
import { IconButton } from '#web/parts/button.tsx';
import { Icon } from '#web/parts/icon.tsx';
import { Notice, Waiting } from '#web/parts/layout.tsx';
import { Toasts } from '#web/parts/toast.tsx';
import { GROUPS, NOT_FOUND, PAGES } from './pages.ts';
import { Link, ParamsProvider, matchPath, useLocation } from '#web/base/router.tsx';
import { THEMES, setTheme, useTheme } from '#web/base/theme.ts';

export function Shell(): ReactNode {
  const { path } = useLocation();
  useLive();
  const [drawer, setDrawer] = useState(false);
  useEffect(() => setDrawer(false), [path]);
  return (
    <>
      <a href="#main" className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:rounded-lg focus:bg-raised focus:px-3 focus:py-2">
        Skip to the page
      </a>
      <div className="flex min-h-dvh">
        <aside className="sticky top-0 hidden h-dvh w-[216px] shrink-0 flex-col border-r border-line px-3 py-4 lg:flex">
          <Sidebar path={path} />
        </aside>
        <div className="flex min-w-0 flex-1 flex-col">
          <header className="sticky top-0 z-20 flex items-center gap-2 border-b border-line bg-bg px-3 py-2 lg:hidden">
            <IconButton name="Navigation" icon="menu" onClick={() => setDrawer(true)} />
            <Brand />
          </header>
          <Drawer open={drawer} close={() => setDrawer(false)}>
            <Sidebar path={path} />
          </Drawer>
          <main id="main" tabIndex={-1} className="mx-auto w-full max-w-[1160px] flex-1 px-3 py-5 outline-none sm:px-6 sm:py-7">
            <Fallible key={path}>
              <Suspense fallback={<Waiting />}>
                <Page path={path} />
              </Suspense>
            </Fallible>
          </main>
        </div>
      </div>
      <Toasts />
    </>
  );
}

function Page({ path }: { readonly path: string }): ReactNode {
  for (const page of PAGES) {
    const params = matchPath(page.path, path);
    if (params === null) continue;
    const View = page.view;
    const named = Object.values(params)[0];
    return (
      <ParamsProvider value={params}>
        <title>{`${named === undefined ? page.title : named} · Postern`}</title>
        <View />
      </ParamsProvider>
    );
  }
  const NotFound = NOT_FOUND;
  return <NotFound />;
}

function Brand(): ReactNode {
  return (
    <Link to="/" className="flex items-center gap-2 rounded-md text-[17px] font-semibold tracking-tight text-ink no-underline">
      <img src="/icon.svg" alt="" width={24} height={24} />
      Postern
    </Link>
  );
}

function Sidebar({ path }: { readonly path: string }): ReactNode {
  return (
    <>
      <div className="px-2 pb-4">
        <Brand />
      </div>
      <nav aria-label="Pages" className="-mx-1 flex-1 overflow-y-auto px-1">
        {GROUPS.map((group) => (
          <div key={group} className="mb-4">
            <p className="px-2.5 pb-1 text-[12px] text-soft">{group}</p>
            <ul>
              {PAGES.filter((page) => page.group === group).map((page) => (
                <li key={page.path}>
                  <NavLink to={page.path} icon={page.icon ?? 'dot'} title={page.title} path={path} />
                </li>
              ))}
            </ul>
          </div>
        ))}
      </nav>
      <ThemeSwitch />
    </>
  );
}

function NavLink({ to, icon, title, path }: { readonly to: string; readonly icon: Parameters<typeof Icon>[0]['name']; readonly title: string; readonly path: string }): ReactNode {
  const here = to === '/' ? path === '/' : path === to || path.startsWith(`${to}/`);
  return (
    <Link
      to={to}
      aria-current={here ? 'page' : undefined}
      className={`flex items-center gap-2.5 rounded-lg px-2.5 py-[7px] no-underline ${here ? 'bg-accent-wash font-medium text-accent-strong' : 'text-ink hover:bg-sunken'}`}
    >
      <Icon name={icon} />
      {title}
    </Link>
  );
}

function ThemeSwitch(): ReactNode {
  const { theme } = useTheme();
  const icons = { system: 'system', light: 'sun', dark: 'moon' } as const;
  const names = { system: 'As the system', light: 'Light', dark: 'Dark' } as const;
  return (
    <div role="radiogroup" aria-label="Theme" className="flex gap-1 border-t border-line px-1 pt-3">
      {THEMES.map((one) => (
        <button
          key={one}
          type="button"
          role="radio"
          aria-checked={theme === one}
          aria-label={names[one]}
          title={names[one]}
          onClick={() => setTheme(one)}
          className={`grid h-8 flex-1 place-items-center rounded-md ${theme === one ? 'bg-sunken text-ink' : 'text-soft hover:text-ink'}`}
        >
          <Icon name={icons[one]} size={16} />
        </button>
      ))}
    </div>
  );
}

function Drawer({ open, close, children }: { readonly open: boolean; readonly close: () => void; readonly children: ReactNode }): ReactNode {
  return (
    <Dialog.Root open={open} onOpenChange={(next) => !next && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="fixed inset-0 z-30 bg-black/45 lg:hidden" />
        <Dialog.Popup className="fixed inset-y-0 left-0 z-40 flex w-[264px] flex-col bg-bg px-3 py-4 shadow-[var(--shadow-high)] outline-none lg:hidden">
          <Dialog.Title className="sr-only">Navigation</Dialog.Title>
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

/** One page that fails, or whose chunk is gone after an update, does not take the others with it. */
class Fallible extends Component<{ readonly children: ReactNode }, { readonly failed: boolean }> {
  override state = { failed: false };
  static getDerivedStateFromError(): { failed: boolean } {
    return { failed: true };
  }
  override render(): ReactNode {
    if (!this.state.failed) return this.props.children;
    return (
      <Notice tone="bad" title="This page could not be shown.">
        <p>The server may have been updated since it was opened.</p>
        <button type="button" className="mt-1 underline" onClick={() => location.reload()}>
          Load it again
        </button>
      </Notice>
    );
  }
}
