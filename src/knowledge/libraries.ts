// Client libraries and programs: what each does about TLS when nobody says, its traps, and a configuration for each of implicit TLS and required
// STARTTLS that does require it and checks the certificate.

import type { z } from 'zod';
import { PosternError } from '#base/failure.ts';
import data from './libraries.json' with { type: 'json' };
import type { librarySchema } from './schema.ts';

export type Library = z.infer<typeof librarySchema>;

export const LIBRARIES = data as readonly Library[];

export type SnippetValues = { readonly host: string; readonly port: number; readonly username: string; readonly from: string; readonly to: string };

/** Characters that mean nothing in any of the languages. */
const HARMLESS = /^[A-Za-z0-9][A-Za-z0-9.@_+=-]*$/;

/**
 * The snippet with its values; null where the library cannot do it this way. The password is never part of it: the snippets read SMTP_PASSWORD.
 * Throws PosternError (exit code 2) for a value that would be more than text in some language.
 */
export function fillSnippet(library: Library, tls: 'implicit' | 'starttls', values: SnippetValues): string | null {
  const snippet = library.snippets[tls];
  return snippet === null ? null : fillTemplate(snippet, values);
}

/** The same for a text that belongs to no library. */
export function fillTemplate(template: string, values: SnippetValues): string {
  for (const [name, value] of Object.entries(values)) {
    if (HARMLESS.test(String(value))) continue;
    throw new PosternError(
      {
        code: 'snippet-value',
        cause: `${JSON.stringify(value)} cannot stand in a configuration as ${name}.`,
        fix: 'Use letters, digits and . @ _ + = - only, and put special values in by hand.',
      },
      { exitCode: 2 },
    );
  }
  return template.replaceAll(/\{\{(host|port|username|from|to)\}\}/g, (_, name: keyof SnippetValues) => String(values[name]));
}
