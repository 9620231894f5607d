// Light, dark, or as the system has it: chosen here, put on the page before the first paint by public/theme.js.

import { useSyncExternalStore } from 'react';

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'postern.theme';
const CHANGED = 'postern:theme';

function stored(): Theme {
  const theme = document.documentElement.dataset['theme'];
  return theme === 'light' || theme === 'dark' ? theme : 'system';
}

export function setTheme(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Storage is switched off: it holds until the page is left.
  }
  dispatchEvent(new Event(CHANGED));
}

/** The choice, and whether the page is dark now: what draws on a canvas has to draw again. */
export function useTheme(): { readonly theme: Theme; readonly dark: boolean } {
  const text = useSyncExternalStore(
    (changed) => {
      const media = matchMedia('(prefers-color-scheme: dark)');
      media.addEventListener('change', changed);
      addEventListener(CHANGED, changed);
      return () => {
        media.removeEventListener('change', changed);
        removeEventListener(CHANGED, changed);
      };
    },
    () => `${stored()} ${matchMedia('(prefers-color-scheme: dark)').matches}`,
  );
  const [theme, system] = text.split(' ') as [Theme, string];
  return { theme, dark: theme === 'dark' || (theme === 'system' && system === 'true') };
}
