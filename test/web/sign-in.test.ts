// The way in, in a browser: the link of the first start, a password, the code of an app, a passkey, somebody else let in, and out again. A session that
// ends leads back to the door.
// Needs: chromium

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { fromBase32, totpCode } from '#http/sign-in/totp.ts';
import { assertAccessible, assertFits, openPage, shoot, startBrowser } from '../support/browser.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';

const PASSWORD = 'a long and private sentence';
let browser: Browser;
let postern: Postern;
let origin: string;
let page: Page;

before(async () => {
  postern = await startPostern();
  // A passkey belongs to a name.
  origin = postern.http.replace('127.0.0.1', 'localhost');
  browser = await startBrowser();
  ({ page } = await openPage(browser, origin));
});

async function signIn(on: Page, name: string, password: string): Promise<void> {
  await on.getByLabel('Name').fill(name);
  await on.getByLabel('Password').fill(password);
  await on.getByRole('button', { name: 'Sign in', exact: true }).click();
}

test('nobody is signed in: the door, whatever page was asked for', async () => {
  for (const look of ['light', 'dark', 'narrow'] as const) {
    const { page: stranger, complaints, foreign } = await openPage(browser, origin, { look });
    await stranger.goto('/queue');
    await stranger.getByRole('heading', { name: 'Sign in to Postern' }).waitFor();
    await shoot(stranger, `sign-in-${look}`);
    await assertAccessible(stranger, `sign-in, ${look}`);
    await assertFits(stranger, `sign-in, ${look}`);
    assert.deepEqual(foreign, []);
    assert.deepEqual(
      complaints.filter((text) => !text.includes('401')),
      [],
    );
    await signIn(stranger, 'admin', 'not the right one');
    await stranger.getByText('The name or the password is not right.').waitFor();
    await stranger.context().close();
  }
});

test('the first link signs in and holds once; then a password does', async () => {
  const { link } = await postern.json<{ link: string }>('person', 'link', 'admin');
  await page.goto(link);
  await page.getByText('You are signed in by a link that does not work again.').waitFor();
  assert.doesNotMatch(page.url(), /#/);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Set the password' }).click();
  await page.getByText('The password is set').waitFor();
  await shoot(page, 'account');
  const { page: second } = await openPage(browser, origin);
  await second.goto(link);
  await second.getByText('The sign-in link was used already').waitFor();
  await second.context().close();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.getByRole('heading', { name: 'Sign in to Postern' }).waitFor();
  await signIn(page, 'admin', PASSWORD);
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('an authenticator app: set up by its secret, then a code is asked for; a recovery code does too', async () => {
  await page.goto('/settings?tab=account');
  await page.getByRole('button', { name: 'Set up' }).click();
  const secret = (await page.getByRole('dialog').locator('code').first().textContent())?.trim() ?? '';
  await page.getByRole('img', { name: /QR code/ }).waitFor();
  const code = (): string => totpCode(fromBase32(secret), Math.floor(Date.now() / 30_000));
  await page.getByLabel('Code').fill(code());
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('Keep them: they are not shown again.').waitFor();
  const [recovery = ''] = /(?:[a-z2-9]{4}-){3}[a-z2-9]{4}/.exec((await page.getByRole('dialog').textContent()) ?? '') ?? [];
  await page.getByRole('button', { name: 'I have it' }).click();
  const { page: other } = await openPage(browser, origin);
  await other.goto('/');
  await signIn(other, 'admin', PASSWORD);
  await other.getByLabel('Code').fill(recovery);
  await other.getByRole('button', { name: 'Sign in', exact: true }).click();
  await other.getByRole('heading', { name: 'Overview' }).waitFor();
  await other.context().close();
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('Not set up.').waitFor();
});

test('a passkey: made, and signed in with', async () => {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  await page.goto('/settings?tab=account');
  await page.getByLabel('Name of the new passkey').fill('laptop');
  await page.getByRole('button', { name: 'Add a passkey' }).click();
  await page.getByRole('button', { name: 'Forget laptop' }).waitFor();
  await page.getByRole('button', { name: 'Sign out', exact: true }).click();
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

test('somebody else is let in by a link, may do what was said, and is out at once when removed', async () => {
  await page.goto('/settings?tab=people');
  await page.getByRole('button', { name: 'Let somebody in' }).click();
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('They may').selectOption('reader');
  await page.getByRole('button', { name: 'Make the link' }).click();
  const link = (await page.getByRole('dialog').locator('code').first().textContent())?.trim() ?? '';
  await page.getByRole('button', { name: 'I have it' }).click();
  await shoot(page, 'people');
  const { page: hers } = await openPage(browser, origin);
  await hers.goto(link);
  await hers.getByRole('heading', { name: 'ada' }).waitFor();
  await hers.goto('/settings?tab=people');
  await hers.getByText('This needs the scope people:read').waitFor();
  await page.getByRole('button', { name: 'Let ada in no more' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByText('ada is let in no more.').waitFor();
  await hers.goto('/messages');
  await hers.getByRole('heading', { name: 'Sign in to Postern' }).waitFor();
});
