// The dashboard's start: the cache of what was asked, and the shell.

import './style.css';
import { CSPProvider } from '@base-ui/react/csp-provider';
import { QueryCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Refusal } from '#web/api/client.ts';
import { Shell } from './shell.tsx';
import { Door } from './sign-in.tsx';

const STALE_MS = 10_000;

const queries = new QueryClient({
  queryCache: new QueryCache({
    // A session that has ended is seen by whatever asks next: back to the door.
    onError: (error, query) => {
      if (error instanceof Refusal && error.status === 401 && error.code === 'not-authorized' && query.queryKey[0] !== '/v1/identity')
        void queries.resetQueries({ queryKey: ['/v1/identity'] });
    },
  }),
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
          <Door>
            <Shell />
          </Door>
        </QueryClientProvider>
      </CSPProvider>
    </StrictMode>,
  );
}
