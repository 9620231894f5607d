// The icons: drawn for this dashboard on a grid of 20, one stroke, in the colour of the text beside them. Decoration only: names are text.

import type { ReactNode } from 'react';

const PATHS = {
  overview: 'M3.5 16.5h13M5.5 13.5v-4M10 13.5v-9M14.5 13.5V8',
  messages: 'M3 5.5h14v9.5H3zM3.5 6l6.5 5.2L16.5 6',
  sandbox: 'M3 11.5 5.2 4.5h9.6L17 11.5v4.5H3zM3 11.5h4l1 2h4l1-2h4',
  queue: 'M3.5 5h13M3.5 10h13M3.5 15h7',
  key: 'M7 9.5a3.4 3.4 0 1 0 0 .01M10 10h7M14.2 10v2.8M17 10v2',
  globe: 'M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M3 10h14M10 3c-4.4 4.6-4.4 9.4 0 14M10 3c4.4 4.6 4.4 9.4 0 14',
  ports: 'M4 16.500V9a6 6 0 0 1 12 0v7.500M8 16.500v-6.200a2 2 0 0 1 4 0v6.200M2.5 16.500h15',
  block: 'M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M5.1 5.100l9.8 9.8',
  hook: 'M8.5 8.800a3.5 3.5 0 1 1 3.8-3.600M9.8 8l-3 5M6.5 11.500a3.5 3.5 0 1 0 3.2 3.500h5M14 11.500a3.5 3.5 0 1 1-1.2 5.900M12.3 6.500l2.6 4.8',
  doctor: 'M4.5 3.500v4a3.8 3.8 0 0 0 7.6 0v-4M8.3 11.500v1.700a3.6 3.6 0 0 0 7.2 0v-1.700M15.5 11.500a1.8 1.8 0 1 0 0-3.600a1.8 1.8 0 1 0 0 3.6',
  advisor: 'M10 2.800a5 5 0 0 0-2.7 9.200v1.700h5.400V12A5 5 0 0 0 10 2.800M8 16.500h4',
  settings: 'M3.5 6h7M14.5 6h2M3.5 14h2M9.5 14h7M12.5 4a2 2 0 1 0 0 4a2 2 0 1 0 0-4M7.5 12a2 2 0 1 0 0 4a2 2 0 1 0 0-4',
  copy: 'M7.5 7.500h8v9h-8zM12.5 7.500v-4h-8v9h3',
  check: 'M4 10.500l4 4 8-9',
  close: 'M5 5l10 10M15 5L5 15',
  sun: 'M10 6.800a3.2 3.2 0 1 0 0 6.400a3.2 3.2 0 1 0 0-6.400M10 2.500v1.500M10 16v1.500M2.5 10H4M16 10h1.500M4.7 4.700l1 1M14.3 14.300l1 1M4.7 15.300l1-1M14.3 5.700l1-1',
  moon: 'M16 12.200A6.7 6.7 0 0 1 7.8 4a6.7 6.7 0 1 0 8.2 8.200Z',
  system: 'M3 4.500h14v9H3zM7.5 16.500h5M10 13.500v3',
  menu: 'M3.5 5.500h13M3.5 10h13M3.5 14.500h13',
  plus: 'M10 4v12M4 10h12',
  lock: 'M5 9h10v7.500H5zM7 9V6.500a3 3 0 0 1 6 0V9',
  unlock: 'M5 9h10v7.500H5zM7 9V6.500a3 3 0 0 1 5.8-1',
  retry: 'M15.8 8A6.2 6.2 0 1 0 16 11.500M16.2 4v4h-4',
  pause: 'M7 4.500v11M13 4.500v11',
  play: 'M6.5 4.200v11.600l9-5.800Z',
  search: 'M9 3.500a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M13 13l3.5 3.5',
  back: 'M12 4.5 6.5 10l5.5 5.5',
  next: 'M8 4.5 13.5 10 8 15.5',
  out: 'M8 4H4v12h4M8.5 10H17M13.5 6.5 17 10l-3.5 3.5',
  warning: 'M10 3.5 17.5 16.500h-15ZM10 8v4M10 14v.5',
  person: 'M10 3.500a3.2 3.2 0 1 0 0 6.400a3.2 3.2 0 1 0 0-6.400M3.5 16.500c.8-3.2 3.3-4.6 6.5-4.600s5.7 1.4 6.5 4.6',
  download: 'M10 3.500v9M6.5 9l3.5 3.500L13.5 9M3.5 16.500h13',
  dot: 'M10 8.500a1.5 1.5 0 1 0 0 3a1.5 1.5 0 1 0 0-3',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 18 }: { readonly name: IconName; readonly size?: number }): ReactNode {
  return (
    <svg
      aria-hidden="true"
      className="shrink-0"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
