/**
 * The wallet's pages over a real wallet and a real devnet, in Chromium: light, dark, 320 pixels wide, by keyboard, and
 * without an accessibility fault; a receipt made here and checked where there is no network. Screenshots are kept in
 * `target/browser/www`.
 */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startDevnet } from './rig/devnet.mjs';
import { chromium } from './rig/packages.mjs';
import { axeSource, look as lookAt, screenshots } from './www-app.mjs';
import { build, CHROMIUM, serve } from './www-server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PASSWORD = 'correct horse';

let axe;
let browser;
let devnet;
let folder;
let server;
let context;
let page;
let violations = [];

before(async () => {
  await mkdir(screenshots, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), 'timecoin-wallet-pages-'));
  axe = await axeSource();
  await build(join(root, 'www'), ['--outDir', folder, '--emptyOutDir']);
  devnet = await startDevnet();
  server = await serve({ root, folder, at: '/app/', node: `127.0.0.1:${devnet.port}`, files: { 'spec.json': devnet.spec } });
  browser = await chromium.launch(CHROMIUM);
  context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: 'reduce', acceptDownloads: true });
  await context.exposeFunction('violated', (text) => violations.push(text));
  await context.addInitScript(() => document.addEventListener('securitypolicyviolation', (event) => globalThis.violated(`${event.violatedDirective} ${event.blockedURI}`)));
  // A password takes its time on a busy machine.
  context.setDefaultTimeout(90_000);
  page = await context.newPage();
  page.on('pageerror', (error) => violations.push(error.message));
});

after(async () => {
  await browser?.close();
  await server?.close();
  await devnet?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

/** Looks at the page as it is, in every way. */
const look = (name, options) => lookAt(page, name, axe, options);

const proved = () => page.locator('[aria-label=Balance]').getByText('verified, complete').waitFor();
const goTo = (hash) => page.evaluate((to) => void (location.hash = to), hash);

test('making a wallet', async () => {
  await page.goto(`${server.url}#/wallet`);
  await page.getByRole('button', { name: 'Create a wallet' }).waitFor();
  await look('wallet-none');
  await page.getByRole('button', { name: 'Create a wallet' }).click();
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('Password again').fill('correct horsf');
  assert.ok(await page.getByRole('button', { name: 'Create' }).isDisabled());
  await look('wallet-create');
  await page.getByLabel('Password again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create' }).click();
  await page.locator('ol .word').nth(11).waitFor();
  await look('wallet-words');
  await page.getByRole('button', { name: 'I have written them down' }).click();
  assert.equal(await page.locator('ol .word').count(), 0, 'the words are off the screen during the check');
  await look('wallet-check');
  await page.getByRole('button', { name: 'Show the words again' }).click();
  await page.getByRole('button', { name: 'Later' }).click();
  await proved();
  await page.getByText('No checked backup').waitFor();
  assert.equal((await page.locator('.balance').innerText()).trim(), '0.00 TIME', 'proved to be nothing');
  await look('wallet-empty');
});

test('its addresses, and an empty history', async () => {
  await goTo('#/wallet/receive');
  await page.getByText('Copy request').waitFor();
  await page.getByPlaceholder('Label').fill('shop');
  await page.getByRole('button', { name: 'New address' }).click();
  await page.getByText('shop', { exact: true }).waitFor();
  await look('wallet-receive');
  await goTo('#/wallet/history');
  await page.getByText('No payment yet.').waitFor();
  await look('wallet-history-empty');
});

test('forgetting it, and restoring another one', async () => {
  await goTo('#/wallet/settings');
  await page.getByLabel('Type “remove”').fill('remove');
  await page.getByLabel('Password').last().fill('wrong horse');
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByText('Wrong password, or the stored keys are damaged.').waitFor();
  await look('wallet-backup');
  await page.getByLabel('Password').last().fill(PASSWORD);
  await page.getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('button', { name: 'Restore a wallet' }).click();
  await page.getByLabel('Words').fill(devnet.words.split(' ').reverse().join(' '));
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('Password again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await page.getByText(/do not belong together/).waitFor();
  await look('wallet-restore');
  await page.getByLabel('Words').fill(devnet.words);
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await proved();
  assert.equal(await page.getByText('No checked backup').count(), 0, 'who has typed the words has them');
  await look('wallet');
});

test('contacts are kept and named where they are paid', async () => {
  await goTo('#/wallet/contacts');
  await page.getByLabel('Name', { exact: true }).fill('Ann <b>');
  await page.getByLabel('Address', { exact: true }).fill(devnet.demo);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.locator('strong').getByText('Ann <b>', { exact: true }).waitFor();
  await look('wallet-contacts');
  await page.getByRole('button', { name: 'Remove Ann <b>' }).click();
});

test('paying: faults, fee, confirmation by keyboard, phases, receipt', async () => {
  const other = 'dtime1qpt4xks5w9u8kuumwyqk7lu44en9szdqaxq5r2rrd9v97ng6tgrmwl65ss7';
  await goTo(`#/pay/${other}?amount=1.5&message=for%20tea`);
  assert.equal(await page.getByLabel('Amount').inputValue(), '1.5');
  assert.equal(await page.getByLabel('Memo (optional)').inputValue(), 'for tea');
  await page.getByLabel('To', { exact: true }).fill(other.replace('qpt4', 'qpt5'));
  await page.getByText('The address is damaged').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Review' }).isDisabled());
  await page.getByLabel('To', { exact: true }).fill(other);
  await page.getByLabel('Amount').fill('100000');
  await page.getByText(/Insufficient funds/).waitFor();
  await look('wallet-send-too-much');
  await page.getByRole('button', { name: 'Max' }).click();
  const review = page.getByRole('button', { name: 'Review' });
  // Not by a function waited for: that is evaluated in the page, whose policy forbids it.
  const enabled = page.locator('main button:enabled', { hasText: 'Review' });
  await enabled.waitFor();
  await page.getByRole('button', { name: 'Max' }).click();
  await page.getByLabel('Amount').fill('1.5');
  await enabled.waitFor();
  await look('wallet-send');
  await review.focus();
  await page.keyboard.press('Enter');
  const send = page.getByRole('button', { name: 'Send', exact: true });
  await send.waitFor();
  assert.ok(await send.isDisabled(), 'the address has to be compared first');
  await look('wallet-confirm');
  await page.getByRole('checkbox').focus();
  await page.keyboard.press('Space');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /^Paid, final after/ }).waitFor();
  for (const name of ['Pending', 'PrePrepare', 'Prepare', 'Commit', 'Finalized']) await page.getByText(name, { exact: true }).waitFor();
  await page.getByRole('button', { name: 'QR code and link' }).click();
  await page.getByRole('img', { name: 'QR code of the receipt' }).waitFor();
  await look('wallet-sent');
  await page.getByRole('button', { name: /^final/ }).click();
  await page.getByRole('dialog').getByText('Trusted to begin with').waitFor();
  await look('wallet-proof', { fullPage: false });
  await page.keyboard.press('Escape');
  await goTo('#/wallet/history');
  await page.getByText('for tea').waitFor();
  await page.getByText('Every payment from block 0').waitFor();
  await look('wallet-history');
  await page.getByRole('button', { name: /^final/ }).first().click();
  await page.getByRole('dialog').getByText('Trusted to begin with').waitFor();
  await page.keyboard.press('Escape');
});

test('its receipt is checked where there is no network', async () => {
  await goTo('#/wallet/history');
  await page.getByText('for tea').waitFor();
  await page.getByRole('button', { name: /^final/ }).first().click();
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download receipt' }).click()]);
  const receipt = await readFile(await download.path(), 'utf8');
  await page.keyboard.press('Escape');
  const elsewhere = await browser.newContext({ reducedMotion: 'reduce' });
  const other = await elsewhere.newPage();
  await other.goto(`${server.url}#/receipt`);
  await other.evaluate(async () => {
    await navigator.serviceWorker.ready;
    while (navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 20));
    while (localStorage.getItem('timecoin.spec') === null) await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await elsewhere.setOffline(true);
  await other.reload();
  await other.getByLabel('As text or link').fill(receipt);
  await other.getByRole('button', { name: 'Check', exact: true }).click();
  await other.getByText('Proved: this payment is final').waitFor();
  await other.getByLabel('As text or link').fill(receipt.replace(/"index":\d+/, '"index":7').replace('for tea', 'for the').replace(/"amount":"1\.5"/, '"amount":"9.5"'));
  await other.getByRole('button', { name: 'Check', exact: true }).click();
  await other.getByText('This proves nothing').waitFor();
  await elsewhere.close();
});

test('restored from a late block it has its older coins, and says where its history begins', async () => {
  await goTo('#/wallet');
  await proved();
  const balance = await page.locator('.balance').innerText();
  const elsewhere = await browser.newContext({ reducedMotion: 'reduce' });
  elsewhere.setDefaultTimeout(90_000);
  const other = await elsewhere.newPage();
  await other.goto(`${server.url}#/wallet`);
  await other.locator('header button.pill.ok').waitFor();
  await other.getByRole('button', { name: 'Restore a wallet' }).click();
  await other.getByLabel('Words').fill(devnet.words);
  await other.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await other.getByLabel('Password again').fill(PASSWORD);
  await other.getByLabel(/^First block to search/).fill('99999999');
  await other.getByText(/^The chain has only/).waitFor();
  assert.ok(await other.getByRole('button', { name: 'Restore', exact: true }).isDisabled());
  await other.getByLabel(/^First block to search/).fill('1');
  await other.getByRole('button', { name: 'Restore', exact: true }).click();
  await other.locator('[aria-label=Balance]').getByText('verified, complete').waitFor();
  assert.equal(await other.locator('.balance').innerText(), balance, 'with the coins of genesis');
  await other.goto(`${server.url}#/wallet/history`);
  await other.getByText('complete from block 1 on').waitFor();
  await other.getByText('the coins they brought are in the balance', { exact: false }).waitFor();
  assert.equal(await other.getByText('From genesis').count(), 0);
  await elsewhere.close();
});

test('locked, it shows nothing', async () => {
  await goTo('#/wallet');
  await page.getByRole('button', { name: 'Lock', exact: true }).click();
  await page.getByText('The wallet is locked').waitFor();
  assert.equal(await page.locator('.balance').count(), 0);
  await look('wallet-locked');
});

test('no policy was broken and nothing was thrown', () => assert.deepEqual(violations, []));
