// Every page of the dashboard as it looks: light, dark and narrow, each kept as a picture; by axe without a serious fault; nothing sticks out at 360
// pixels; reachable by keyboard; nothing loaded from anywhere else, and not much at first.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { assertAccessible, assertFits, authorization, openPage, shoot, startBrowser } from '../support/browser.ts';
import type { Look } from '../support/browser.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { until } from '../support/temp.ts';

const FIRST_LOAD_BYTES = 250_000;

let browser: Browser;
let postern: Postern;
let headers: { readonly authorization: string };
let captured: string;
let waiting: string;

/** A page, and what is there once it shows what it has. */
const PAGES: Readonly<Record<string, () => readonly [path: string, text: string | RegExp]>> = {
  overview: () => ['/', 'Latest messages'],
  messages: () => ['/messages', 'Caught in the sandbox'],
  trace: () => [`/messages/${waiting}`, 'Accepted, and safe on disk'],
  facts: () => [`/messages/${waiting}?tab=facts`, 'Queue id'],
  sandbox: () => ['/sandbox', 'Caught in the sandbox'],
  'sandbox-message': () => [`/sandbox?open=${captured}`, 'orders@shop.test'],
  queue: () => ['/queue', 'friend@nowhere.test'],
  credentials: () => ['/credentials', 'May send as'],
  domains: () => ['/domains', 'shop.test'],
  domain: () => ['/domains/shop.test', 'Signing keys'],
  doctor: () => ['/doctor', 'Reports'],
  advisor: () => ['/advisor', 'Who sends?'],
  ports: () => ['/ports', 'How it came to this'],
  traffic: () => ['/traffic', 'Encrypted, by provider'],
  suppressions: () => ['/suppressions', 'Nobody is suppressed'],
  webhooks: () => ['/webhooks', 'Nobody is told yet'],
  people: () => ['/settings?tab=people', 'Who may sign in here.'],
  tokens: () => ['/settings?tab=tokens', 'For programs that use the HTTP API'],
  audit: () => ['/settings?tab=audit', 'Every change'],
  'not-found': () => ['/nowhere', 'There is no page here'],
};

before(async () => {
  postern = await startPostern({ profiles: ['mx', 'submissions', 'submission', 'alternate'], config: '[queue]\nretry = { first = "1h", factor = 1, max = "1h", jitter = 0 }\n' });
  headers = await authorization(postern);
  const [box, live] = [await postern.credential('sandbox'), await postern.credential('shop', '--live', '--domain', 'shop.test')];
  await postern.json('domain', 'add', 'shop.test', '--inbound');
  const send = async (credential: typeof box, to: string, subject: string): Promise<string> => {
    const client = await connectTo(postern.port('submission'), { credential });
    const content = `From: Shop <orders@shop.test>\r\nTo: ${to}\r\nSubject: ${subject}\r\nContent-Type: text/html\r\n\r\n<p>Hello, this is what was sent.</p>\r\n`;
    const id = await accepted(client, { from: 'orders@shop.test', to: [to], content });
    await client.quit();
    return id;
  };
  captured = await send(box, 'ann@example.test', 'Caught in the sandbox');
  waiting = await send(live, 'friend@nowhere.test', 'On its way');
  browser = await startBrowser();
});

async function show(page: Page, name: string): Promise<void> {
  const [path, text] = PAGES[name]?.() ?? ['/', ''];
  await page.goto(path);
  await page.getByText(text).first().waitFor();
  // What is asked later than the text shows a word while it waits.
  await page.locator('main .pulse').first().waitFor({ state: 'detached' });
}

for (const look of ['light', 'dark', 'narrow'] as const satisfies readonly Look[]) {
  test(`every page, ${look}: accessible, fits, complains of nothing, asks nobody else`, async () => {
    const { page, complaints, foreign } = await openPage(browser, postern.http, { look, extraHTTPHeaders: headers });
    for (const name of Object.keys(PAGES)) {
      await show(page, name);
      await shoot(page, `${name}-${look}`);
      await assertAccessible(page, `${name}, ${look}`);
      await assertFits(page, `${name}, ${look}`);
    }
    assert.deepEqual(complaints, []);
    assert.deepEqual(foreign, []);
    await page.context().close();
  });
}

test('the first load is under 250 KB compressed', async () => {
  const { page } = await openPage(browser, postern.http, { extraHTTPHeaders: headers });
  const sizes: number[] = [];
  const counted: Promise<void>[] = [];
  page.on('response', (response) => {
    if (!new URL(response.url()).pathname.startsWith('/v1/')) counted.push(response.body().then(async () => void sizes.push((await response.request().sizes()).responseBodySize)));
  });
  await show(page, 'overview');
  await Promise.all(counted);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(sizes.length >= 4 && bytes > 20_000, `${sizes.length} files, ${bytes} bytes: the measurement does not see them`);
  assert.ok(bytes < FIRST_LOAD_BYTES, `${bytes} bytes`);
  await page.context().close();
});

test('the keyboard reaches everything: past the navigation into the page, through a dialog, and back to where it came from', async () => {
  const { page } = await openPage(browser, postern.http, { extraHTTPHeaders: headers });
  await show(page, 'credentials');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate('document.activeElement.id'), 'main', 'the first stop leads past the navigation');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate('document.activeElement.textContent'), 'New credential');
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog', { name: 'New credential' });
  await dialog.waitFor();
  await shoot(page, 'dialog-light');
  await assertAccessible(page, 'a dialog');
  const inside = `document.querySelector('[role=dialog]').contains(document.activeElement) || document.activeElement.hasAttribute('data-base-ui-focus-guard')`;
  for (let i = 0; i < 12; i++) {
    await page.keyboard.press('Tab');
    // Past its end it goes round by way of a guard, which takes the browser a moment.
    await until('the focus is in the dialog again', () => page.evaluate<boolean>(inside), 2000);
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await page.evaluate('document.activeElement.textContent'), 'New credential');
  await page.context().close();
});

test('where it is narrow the navigation is a drawer, and the theme that was chosen stays', async () => {
  const { page } = await openPage(browser, postern.http, { look: 'narrow', extraHTTPHeaders: headers });
  await show(page, 'queue');
  await page.getByRole('button', { name: 'Navigation' }).click();
  const drawer = page.getByRole('dialog', { name: 'Navigation' });
  await shoot(page, 'drawer-narrow');
  await drawer.getByRole('radio', { name: 'Dark' }).click();
  const background = 'getComputedStyle(document.documentElement).backgroundColor';
  const dark = await page.evaluate(background);
  await drawer.getByRole('link', { name: 'The four ports' }).click();
  await drawer.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'The four ports' }).waitFor();
  await page.reload();
  assert.equal(await page.evaluate(background), dark);
  assert.equal(dark, 'rgb(17, 20, 22)');
  await page.context().close();
});
