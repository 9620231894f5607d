// What has to be there before TypeScript can run: the dependencies of a checkout, and a Node that is new enough. Plain JavaScript for
// any Node from 20 on.
'use strict';

const { spawnSync } = require('node:child_process');
const { createHash } = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const NODE_MAJOR = 26;
const LOCK_WAIT_MS = 10 * 60_000;

class BootstrapError extends Error {
  constructor(cause, fix) {
    super(cause);
    this.fix = fix;
  }
}

/** True in a checkout; a published package carries JavaScript and no lock file. */
function isCheckout() {
  return fs.existsSync(path.join(root, 'package-lock.json')) && fs.existsSync(path.join(root, 'src', 'cli', 'run.ts'));
}

function stampPath() {
  return path.join(root, 'node_modules', '.postern-lock');
}

function lockHash() {
  return createHash('sha256')
    .update(fs.readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
}

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

/** Somebody may have run npm themselves: what npm says is installed is held against the lock. */
function installedByNpm() {
  const installed = read(path.join(root, 'node_modules', '.package-lock.json'));
  if (installed === null) return false;
  const have = JSON.parse(installed).packages || {};
  const want = JSON.parse(fs.readFileSync(path.join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.entries(want).every(([name, entry]) => name === '' || entry.optional || (have[name] && have[name].version === entry.version));
}

/** Installs what the lock file names, if it is not there. Two at once: the second one waits. */
function ensureDependencies() {
  if (!isCheckout()) return;
  const hash = lockHash();
  if (read(stampPath()) === hash) return;
  if (installedByNpm()) return stamp(hash);
  const release = takeLock();
  try {
    if (read(stampPath()) === hash) return;
    if (!installedByNpm()) install();
    stamp(hash);
  } finally {
    release();
  }
}

/** Saves the comparison the next time. A service's account may not write here, and need not. */
function stamp(hash) {
  try {
    fs.writeFileSync(stampPath(), hash);
  } catch {
    // Compared again next time.
  }
}

function install() {
  process.stderr.write('postern: installing dependencies (npm ci), once...\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const env = { ...process.env, NODE_ENV: '' };
  const result = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--include=dev', '--include=optional'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  if (result.error) throw new BootstrapError(`npm cannot be run: ${result.error.message}.`, 'Install npm (it comes with Node.js), or run "npm ci" yourself.');
  if (result.status !== 0) throw new BootstrapError(`npm ci failed:\n${result.stdout}${result.stderr}`, 'Check the network and the registry that npm uses, then try again.');
}

/** What the dashboard is made of: its sources, the facts it shows, and the versions of what builds it. */
function dashboardHash() {
  const hash = createHash('sha256').update(lockHash());
  for (const folder of ['web', path.join('src', 'knowledge')]) {
    for (const name of fs.readdirSync(path.join(root, folder), { recursive: true }).map(String).sort()) {
      const file = path.join(root, folder, name);
      if (fs.statSync(file).isFile()) hash.update(`${folder}/${name}\0`).update(fs.readFileSync(file)).update('\0');
    }
  }
  return hash.digest('hex');
}

/**
 * Builds the dashboard of a checkout into dist/web when its sources are newer; the published package brings it along. What cannot be built does
 * not keep the server from its mail: it says so, and goes on; unless it is `required`.
 */
function ensureDashboard(required = false) {
  if (!isCheckout()) return;
  const built = path.join(root, 'dist', 'web', 'stamp');
  try {
    const hash = dashboardHash();
    if (read(built) === hash) return;
    const release = takeLock();
    try {
      if (read(built) === hash) return;
      process.stderr.write('postern: building the dashboard, once...\n');
      const { status, error } = spawnSync(findNode(), [path.join(root, 'scripts', 'web.mjs')], { cwd: root, stdio: ['ignore', 2, 2] });
      if (error) throw error;
      if (status !== 0) throw new Error(`the build ended with ${status}`);
    } finally {
      release();
    }
  } catch (error) {
    if (required) throw error;
    process.stderr.write(`postern: the dashboard could not be built (${error.message}); everything else works. Run "npm run web" to see why.\n`);
  }
}

function takeLock() {
  const lock = path.join(root, '.postern-install');
  const until = Date.now() + LOCK_WAIT_MS;
  for (;;) {
    try {
      fs.mkdirSync(lock);
      return () => fs.rmSync(lock, { recursive: true, force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw new BootstrapError(`The checkout cannot be written to: ${error.message}.`, 'Run "npm ci" in it once as an account that may write there.');
    }
    // Left behind by one that was killed.
    const stat = fs.statSync(lock, { throwIfNoEntry: false });
    if (stat && Date.now() - stat.mtimeMs > LOCK_WAIT_MS) fs.rmSync(lock, { recursive: true, force: true });
    else if (Date.now() > until) throw new BootstrapError('Another installation is still running.', `If none is, remove ${lock}.`);
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 250);
  }
}

/** A Node that runs TypeScript and has what Postern needs: this one, or the bundled one. */
function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= NODE_MAJOR) return process.execPath;
  for (const name of [`node-${process.platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]) {
    try {
      return path.join(path.dirname(require.resolve(`${name}/package.json`, { paths: [root] })), 'bin', 'node');
    } catch {
      // Not for this platform, or not installed.
    }
  }
  throw new BootstrapError(
    `This is Node ${process.versions.node}; Postern needs ${NODE_MAJOR} or newer, and no bundled one is installed for ${process.platform}-${process.arch}.`,
    `Install Node ${NODE_MAJOR}, or run "npm ci" without --omit=optional.`,
  );
}

module.exports = { root, isCheckout, ensureDependencies, ensureDashboard, dashboardHash, findNode, BootstrapError };
