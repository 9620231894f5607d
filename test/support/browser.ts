// Debian's Chromium on the dashboard of a real server: pages with their own context, what they complained of and asked for, pictures that the run
// keeps in shots/, and the accessibility of what is shown.
// Needs: chromium

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { ROOT } from './postern.ts';
import type { Postern } from './postern.ts';
import { atEnd } from './temp.ts';

const require = createRequire(import.meta.url);
const { ensureDashboard } = require('../../bin/bootstrap.cjs') as { ensureDashboard(required: boolean): void };
const AXE = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = join(ROOT, 'shots');
const WAIT_MS = 10_000;

export type Look = 'light' | 'dark' | 'narrow';
export type Opened = {
  readonly page: Page;
  /** Errors of the console and of scripts so far. */ readonly complaints: string[];
  /** Everything that was asked of anybody but `origin`. */ readonly foreign: string[];
};

const LOOKS: Readonly<Record<Look, BrowserContextOptions>> = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 860 }, colorScheme: 'dark' },
  narrow: { viewport: { width: 360, height: 740 }, colorScheme: 'light', hasTouch: true },
};

/** The dashboard as the sources have it now, and a browser that is closed at the end. */
export async function startBrowser(): Promise<Browser> {
  ensureDashboard(true);
  // Root has no user namespace to sandbox in; what is opened is ours.
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  atEnd(() => browser.close());
  return browser;
}

/** What an administrator's token opens. */
export async function authorization(postern: Postern): Promise<{ readonly authorization: string }> {
  const { token } = await postern.json<{ token: string }>('token', 'add', 'browser', '--scope', 'admin');
  return { authorization: `Bearer ${token}` };
}

export async function openPage(browser: Browser, origin: string, options: BrowserContextOptions & { readonly look?: Look } = {}): Promise<Opened> {
  const { look = 'light', ...rest } = options;
  const context = await browser.newContext({ ...LOOKS[look], baseURL: origin, reducedMotion: 'reduce', ...rest });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  const foreign: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${origin}/`) && !/^(?:data|blob|about):/.test(request.url())) foreign.push(request.url());
  });
  // What the page's policy stopped went nowhere.
  page.on('requestfailed', (request) => {
    const at = foreign.indexOf(request.url());
    if (at !== -1 && request.failure()?.errorText === 'csp') foreign.splice(at, 1);
  });
  return { page, complaints, foreign };
}

/** Waits until nothing is loading, and keeps a picture of the whole page. */
export async function shoot(page: Page, name: string): Promise<void> {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true });
}

type Violation = { readonly id: string; readonly impact: string; readonly help: string; readonly nodes: readonly { readonly target: unknown; readonly failureSummary: string }[] };

/** Nothing that axe calls serious or critical, by WCAG 2.2 A and AA. */
export async function assertAccessible(page: Page, where: string): Promise<void> {
  // Evaluated by the debugger: the page's policy allows no script from elsewhere.
  await page.evaluate(AXE);
  const violations = await page.evaluate<readonly Violation[]>(
    `axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], iframes: false }).then((result) => result.violations)`,
  );
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(
    serious.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${JSON.stringify(node.target)} ${node.failureSummary}`).join(' | ')}`),
    [],
    where,
  );
}

/** Nothing sticks out to the side. */
export async function assertFits(page: Page, where: string): Promise<void> {
  const [content, window] = await page.evaluate<[number, number]>('[document.documentElement.scrollWidth, document.documentElement.clientWidth]');
  assert.ok(content <= window, `${where}: ${content} px wide in ${window}`);
}
