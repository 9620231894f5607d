// The dashboard in a browser against the real server, about setting it up: a domain checked against a real DNS server until it is right, the doctor
// with its progress and a report that is shared, the advisor, tokens, and what the audit log says of all that.
// Needs: root, knot, unbound

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { recordsZone } from '#cli/domain/records.ts';
import { authorization, openPage, shoot, startBrowser } from '../support/browser.ts';
import type { Opened } from '../support/browser.ts';
import { startDns } from '../support/dns.ts';
import type { Dns } from '../support/dns.ts';
import { startReceiver } from '../support/receiver.ts';
import { until } from '../support/temp.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';

const RESOLVER = '127.39.0.53';
const AUTHORITY = '127.39.0.1';
let browser: Browser;
let postern: Postern;
let dns: Dns;
let opened: Opened;
let page: Page;

before(async () => {
  dns = await startDns({ 'shop.test': 'www A 127.0.0.1', 'relay.test': '@ A 127.0.0.1' }, { address: RESOLVER, authority: AUTHORITY });
  postern = await startPostern({
    profiles: ['mx', 'submissions', 'submission', 'alternate'],
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nallow_private_addresses = true\n`,
  });
  browser = await startBrowser();
  opened = await openPage(browser, postern.http, { extraHTTPHeaders: await authorization(postern) });
  ({ page } = opened);
});

test('a domain: added, its records shown to be copied, checked against the DNS, what is wrong in words, and right once they are published', async () => {
  await page.goto('/domains');
  await page.getByRole('button', { name: 'Add a domain' }).first().click();
  await page.getByLabel('Domain', { exact: true }).fill('Shop.test');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByRole('heading', { name: 'shop.test' }).waitFor();
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.getByRole('button', { name: 'Copy the value of the SPF record' }).click();
  assert.match(await page.evaluate<string>('navigator.clipboard.readText()'), /^v=spf1 /);

  await page.getByRole('button', { name: 'Check now' }).click();
  await page.getByText(/^0 of \d records are right/).waitFor();
  await page
    .getByText(/no SPF record/)
    .first()
    .waitFor();
  await shoot(page, 'domain-missing');

  const records = await postern.json<Parameters<typeof recordsZone>[0]>('domain', 'show', 'shop.test');
  await dns.setZone('shop.test', recordsZone(records));
  // The resolver knows for a second more that there was nothing.
  await until('all records are right', async () => {
    await page.getByRole('button', { name: 'Check now' }).click();
    await page.getByRole('button', { name: 'Check now' }).waitFor();
    return (await page.getByText(/^All \d records are right/).count()) > 0;
  });
  await shoot(page, 'domain-right');
});

test('the doctor: progress as it goes, a report with causes and fixes, a link that others can read', async () => {
  // It answers once the page has shown what was found before.
  let goOn = (): void => {};
  const seen = new Promise<void>((resolve) => (goOn = resolve));
  const host = await startReceiver({ before: () => seen });
  const target = `127.0.0.1:${host.port}`;
  await page.goto('/doctor');
  await page.getByLabel('Host, host:port, domain or mail address').fill(target);
  await page.getByRole('button', { name: 'Examine' }).click();
  await page.getByText('Under way').waitFor();
  await page.getByText(/^Now: /).waitFor();
  await shoot(page, 'doctor-under-way');
  goOn();
  await page.getByRole('button', { name: 'Share the report' }).waitFor();
  await page.getByRole('heading', { name: 'Faults' }).waitFor();
  await shoot(page, 'doctor-report');
  await page.getByRole('button', { name: 'Share the report' }).click();
  const link = (await page.getByText(`${postern.http}/reports/`).textContent()) ?? '';
  const other = await openPage(browser, postern.http);
  await other.page.goto(link);
  await other.page.getByRole('heading', { name: target }).first().waitFor();
  await page.getByRole('button', { name: 'Stop sharing' }).click();
  await page.getByRole('button', { name: 'Share the report' }).waitFor();
  assert.equal((await other.page.goto(link))?.status(), 404);
  await other.page.context().close();
});

test('the advisor: the default answer, another one where the network blocks, and the configuration of the library', async () => {
  await page.goto('/advisor');
  await page.getByLabel('With what?').selectOption('smtplib');
  await page.getByLabel('To which host?').fill('smtp.example.net');
  await page.getByRole('button', { name: 'Advise' }).click();
  await page.getByText('STARTTLS, required').first().waitFor();
  const configuration = page.getByRole('region', { name: 'the configuration', exact: true });
  assert.match((await configuration.textContent()) ?? '', /smtplib[^]*587/);
  await page.getByRole('checkbox', { name: '587' }).check();
  await page.getByRole('checkbox', { name: '465' }).check();
  await page.getByRole('button', { name: 'Advise' }).click();
  await page.getByText('2525', { exact: true }).nth(1).waitFor();
  assert.match((await configuration.textContent()) ?? '', /2525/);
  await shoot(page, 'advice');
});

test('a token: made with the scopes that were chosen, shown once, good for them and nothing else, revoked; the audit log has all of it', async () => {
  await page.goto('/settings?tab=tokens');
  await page.getByRole('button', { name: 'New token' }).first().click();
  await page.getByLabel('Name').fill('from-the-browser');
  await page.getByLabel('see the queue').check();
  await page.getByRole('button', { name: 'Create' }).click();
  const token = (await page.getByRole('dialog').locator('code').first().textContent()) ?? '';
  assert.match(token, /^pst_/);
  const ask = async (path: string): Promise<number> => (await fetch(`${postern.http}${path}`, { headers: { authorization: `Bearer ${token}` } })).status;
  assert.deepEqual([await ask('/v1/queue'), await ask('/v1/audit')], [200, 403]);
  await page.getByRole('button', { name: 'I have it' }).click();
  await page.getByRole('button', { name: 'Revoke from-the-browser' }).click();
  await page.getByRole('button', { name: 'Revoke', exact: true }).click();
  await page.getByText('revoked', { exact: true }).waitFor();
  assert.equal(await ask('/v1/queue'), 401);
  await page.getByRole('tab', { name: 'Audit log' }).click();
  await page.getByRole('row', { name: /revoke token.*from-the-browser/ }).waitFor();
  await page.getByRole('row', { name: /add domain.*shop\.test/ }).waitFor();
});

test('no page complained, and nothing was loaded from anywhere else', () => {
  assert.deepEqual(opened.complaints, []);
  assert.deepEqual(opened.foreign, []);
});
