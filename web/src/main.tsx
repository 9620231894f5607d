// The dashboard's start: the cache of what was asked, and the shell.

import './style.css';
import { CSPProvider } from '@base-ui/react/csp-provider';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Refusal } from '#web/api/client.ts';
import { Shell } from './shell.tsx';

const STALE_MS = 10_000;

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: STALE_MS,
      // What was refused is refused again; what was not reached may be back in a moment.
      retry: (failures, error) => failures < 2 && error instanceof Refusal && (error.status === 0 || error.status >= 500),
    },
  },
});

const place = document.querySelector('#app');
if (place !== null) {
  createRoot(place).render(
    <StrictMode>
      <CSPProvider disableStyleElements>
        <QueryClientProvider client={queries}>
          <Shell />
        </QueryClientProvider>
      </CSPProvider>
    </StrictMode>,
  );
}
