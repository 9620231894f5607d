// The way when no mail port is open: an HTTP API over 443. That of a mail service has its own format; Postern's is handed out ready to run.

import { fillTemplate } from '#knowledge/libraries.ts';
import type { SnippetValues } from '#knowledge/libraries.ts';
import type { Provider } from '#knowledge/providers.ts';

export type HttpApi = { readonly why: string; readonly snippet: string | null };

/** https and nothing else, the certificate checked; the token comes from the environment and stands in no process list. */
const POSTERN = `#!/bin/sh
printf 'header = "Authorization: Bearer %s"\\n' "$POSTERN_TOKEN" | curl --silent --show-error --fail --max-time 60 -K - \\
  --proto '=https' 'https://{{host}}/v1/messages' --header 'Content-Type: application/json' \\
  --data '{"from": "{{from}}", "to": ["{{to}}"], "subject": "Hello", "text": "It works."}'
`;

/** `values` are those of the other snippets. */
export function httpApiOf(provider: Provider | null, values: SnippetValues): HttpApi {
  const always = 'A network that lets web traffic out cannot block it.';
  if (provider !== null) return { why: `The HTTP API of ${provider.name}, if your plan has it: messages have to be handed over in its own format. ${always}`, snippet: null };
  return {
    why: `The HTTP API of the mail service: the snippet is for a Postern with a web server in front ("postern token add NAME --scope messages:send" makes the token), others have formats of their own. ${always}`,
    snippet: fillTemplate(POSTERN, values),
  };
}
