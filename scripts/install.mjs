// Gets Debian's packages that tests need, as root with apt: installed where that is possible, else unpacked into a cache, because mail servers
// exclude each other as packages. Their own services are kept from starting. Runs on Node 20 and up.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { needsOf } from './needs.mjs';

/** A package whose files are looked for below here is unpacked, not installed: UNPACKED/NAME is its root. */
export const UNPACKED = '/var/cache/postern-tests';
const POLICY = '/usr/sbin/policy-rc.d';
// Without a network the answer is to come soon, not after every mirror's time-out.
const BOUNDED = ['-o', 'Acquire::Retries=1', '-o', 'Acquire::http::Timeout=20', '-o', 'Acquire::https::Timeout=20'];

/** Real servers and clients for these files. What cannot be had stays missing; the caller looks. */
export function installMissing(files, packages, system) {
  const needed = new Set(files.flatMap((file) => [...needsOf(file).keys()]));
  const missing = Object.keys(packages).filter((name) => needed.has(name) && !system.has(name) && system.canInstall(name));
  if (missing.length > 0 && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) install(missing, packages);
}

export function isUnpacked(packages, name) {
  return (packages[name] ?? []).some((path) => path.startsWith(`${UNPACKED}/`));
}

function install(names, packages) {
  process.stderr.write(`Installing system packages for the tests: ${names.join(' ')}\n`);
  const guarded = !existsSync(POLICY);
  if (guarded) writeFileSync(POLICY, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const plain = names.filter((name) => !isUnpacked(packages, name));
    const unpacked = names.filter((name) => isUnpacked(packages, name));
    const getAll = () => (plain.length === 0 || installed(...plain)) && unpacked.every(unpack);
    if (getAll()) return;
    apt('update');
    // One that this Debian does not have must not keep the others away.
    if (plain.length > 0 && !installed(...plain)) for (const name of plain) installed(name);
    for (const name of unpacked) if (!existsSync(join(UNPACKED, name))) unpack(name);
  } finally {
    if (guarded) rmSync(POLICY, { force: true });
  }
}

function apt(...args) {
  return spawnSync('apt-get', ['-q', '-y', ...BOUNDED, ...args], { stdio: ['ignore', 2, 2], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status;
}

function installed(...names) {
  return apt('install', '--no-install-recommends', ...names) === 0;
}

/** The package's files without its scripts, and the libraries it is linked with. Whole or not at all: the directory appears when it is complete. */
function unpack(name) {
  const scratch = mkdtempSync(join(tmpdir(), 'postern-deb-'));
  try {
    const quiet = { cwd: scratch, encoding: 'utf8' };
    spawnSync('apt-get', ['-q', ...BOUNDED, '-o', 'APT::Sandbox::User=root', 'download', name], { ...quiet, stdio: ['ignore', 2, 2] });
    const deb = readdirSync(scratch).find((file) => file.endsWith('.deb'));
    if (deb === undefined || spawnSync('dpkg-deb', ['-x', deb, 'root'], quiet).status !== 0) return false;
    const depends = spawnSync('dpkg-deb', ['-f', deb, 'Depends'], quiet).stdout;
    const libraries = [...depends.matchAll(/(?:^|, )(lib[a-z0-9.+-]+)/g)].map(([, library]) => library);
    if (libraries.length > 0 && !installed(...libraries)) return false;
    const place = join(UNPACKED, name);
    mkdirSync(dirname(place), { recursive: true });
    if (!existsSync(place)) spawnSync('cp', ['-a', join(scratch, 'root'), `${place}.new`], quiet);
    if (!existsSync(place)) renameSync(`${place}.new`, place);
    return true;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}
