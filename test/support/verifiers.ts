// Other people's DKIM verifiers, asked about messages as they were received: opendkim (RSA), mailauth and dkimpy (both algorithms). Each looks up
// the keys in the DNS of the test.
// Needs: root, python3, python3-dkim, python3-nacl, python3-dnspython, opendkim-tools

import { Resolver } from 'node:dns/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { dkimVerify } from 'mailauth/lib/dkim/verify.js';
import { run, tempDir } from './temp.ts';

/** By algorithm: `pass`, or what was wrong. */
export type Judgement = Readonly<Record<string, string>>;

const PASS: Judgement = { 'rsa-sha256': 'pass', 'ed25519-sha256': 'pass' };
export const BOTH_PASS = JSON.stringify(PASS);

/** `server` is an address, at port 53. */
export async function mailauthSays(content: Buffer, server: string): Promise<string> {
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  resolver.setServers([server]);
  const { results } = (await dkimVerify(content, { resolver: (name: string) => resolver.resolveTxt(name) })) as {
    results: { algo: string; status: { result: string; comment?: string }; signingDomain: string }[];
  };
  return judgement(results.map(({ algo, status }) => [algo, status.result === 'pass' ? 'pass' : `${status.result} ${status.comment ?? ''}`]));
}

export async function dkimpySays(contents: readonly Buffer[], server: string): Promise<string[]> {
  const script = fileURLToPath(new URL('../vectors/dkim/judge.py', import.meta.url));
  const done = await run('/usr/bin/python3', [script, server, '53', ...inFiles(contents)], { timeoutMs: 120_000 });
  if (done.code !== 0) throw new Error(`dkimpy: ${done.stderr}`);
  return (JSON.parse(done.stdout) as [string, boolean | string][][]).map((signatures) =>
    judgement(signatures.map(([name, good]) => [name, good === true ? 'pass' : String(good)])),
  );
}

/** What opendkim's library says of all signatures it knows; '' when it has nothing to say against the message. In a mount namespace, for its resolver. */
export async function opendkimSays(contents: readonly Buffer[], server: string): Promise<string[]> {
  const dir = tempDir('od');
  writeFileSync(join(dir, 'resolv.conf'), `nameserver ${server}\n`);
  const script = `mount --bind ${dir}/resolv.conf /etc/resolv.conf; for file; do /usr/sbin/opendkim-testmsg -t ${dir} < "$file" 2>&1 | tr '\\n' ' '; echo "exit \${PIPESTATUS[0]}"; done`;
  const done = await run('/usr/bin/unshare', ['--mount', '/bin/bash', '-c', script, 'judge', ...inFiles(contents)], { timeoutMs: 120_000 });
  return done.stdout.trimEnd().split('\n');
}

function inFiles(contents: readonly Buffer[]): string[] {
  const dir = tempDir('ms');
  return contents.map((content, i) => {
    const path = join(dir, `${i}.eml`);
    writeFileSync(path, content);
    return path;
  });
}

function judgement(found: readonly (readonly [string, string])[]): string {
  return JSON.stringify(Object.fromEntries(found));
}
