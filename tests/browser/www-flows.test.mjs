/** What people do in the app: make a wallet, pay, search, look at proofs, go offline. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ADDRESS, ID, screenshots, serveFixture, startApp, UNLOCKED } from './www-app.mjs';

let app;
before(async () => {
  app = await startApp();
});
after(() => app?.close());

test('the pill has a word for every state', async () => {
  const states = [
    [{ kind: 'starting' }, 'starting'],
    [{ kind: 'connecting', peers: 0 }, 'connecting'],
    [{ kind: 'syncing', height: 63, target: 100, percent: 63.2 }, 'syncing 63 %'],
    [{ kind: 'verified' }, 'verified'],
    [{ kind: 'stale', age_ms: 12_400 }, 'stale 12 s'],
    [{ kind: 'failed', code: 'quota', message: 'No room.', advice: 'Make some.' }, 'failed'],
  ];
  for (const [state, word] of states) {
    const { page, close } = await app.open('#/', { state });
    const pill = page.locator('header button.pill');
    await pill.getByText(word.replaceAll(' ', '\u00a0').replace('syncing\u00a0', 'syncing ').replace('stale\u00a0', 'stale ')).waitFor();
    await close();
  }
});

test('a new wallet: words, backup check, reminder until it is done', async () => {
  const { page, close } = await app.open('#/wallet');
  await page.getByRole('button', { name: 'Create a wallet' }).click();
  await page.getByLabel('Password', { exact: true }).fill('correct horse');
  await page.getByLabel('Password again').fill('correct horsf');
  assert.ok(await page.getByRole('button', { name: 'Create' }).isDisabled());
  await page.getByLabel('Password again').fill('correct horse');
  await page.getByRole('button', { name: 'Create' }).click();
  const words = await page.locator('ol .word').allTextContents();
  assert.equal(words.length, 12);
  await page.getByRole('button', { name: 'I have written them down' }).click();
  assert.equal(await page.locator('ol .word').count(), 0, 'the words are off the screen during the check');
  const fields = await page.getByLabel(/^Word \d+$/).all();
  for (const field of fields) await field.fill('wrong');
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByRole('alert').getByText('not the right one').waitFor();
  for (const field of fields) {
    const at = Number(/\d+/.exec(await page.locator(`label[for="${await field.getAttribute('id')}"]`).textContent())?.[0]);
    await field.fill(` ${words[at - 1].toUpperCase()} `);
  }
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('Last payments').waitFor();
  assert.equal(await page.getByText('No checked backup').count(), 0);
  await close();
});

test('paying: faults, fee, confirmation, phases, receipt', async () => {
  const { page, close } = await app.open(`#/pay/${ADDRESS}?amount=1.5&message=for%20tea`, UNLOCKED);
  assert.equal(await page.getByLabel('Amount').inputValue(), '1.5');
  assert.equal(await page.getByLabel('Memo (optional)').inputValue(), 'for tea');
  await page.getByLabel('To', { exact: true }).fill(ADDRESS.replace('qpt4', 'qpt5'));
  await page.getByText('The address is damaged').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Review' }).isDisabled());
  await page.getByLabel('To', { exact: true }).fill(ADDRESS);
  await page.getByRole('button', { name: 'Review' }).click();
  const send = page.getByRole('button', { name: 'Send', exact: true });
  assert.ok(await send.isDisabled(), 'the address has to be compared first');
  await page.getByRole('checkbox').check();
  await page.screenshot({ path: join(screenshots, 'wallet-confirm-light.png'), fullPage: true });
  await app.assertAccessible(page, 'confirm');
  await send.click();
  await page.getByRole('heading', { name: /^Paid, final after/ }).waitFor();
  for (const name of ['Pending', 'PrePrepare', 'Prepare', 'Commit', 'Finalized']) await page.getByText(name, { exact: true }).waitFor();
  const times = (await page.locator('[aria-label="Phase of the payment"] li .number').allTextContents()).map((time) => Number.parseFloat(time));
  assert.equal(times.length, 5);
  assert.deepEqual(times, [...times].sort((a, b) => a - b));
  await page.getByRole('button', { name: 'QR code and link' }).click();
  await page.getByRole('img', { name: 'QR code of the receipt' }).waitFor();
  await page.getByRole('button', { name: 'Copy link' }).waitFor();
  await page.screenshot({ path: join(screenshots, 'wallet-sent-light.png'), fullPage: true });
  await app.assertAccessible(page, 'sent');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Download receipt' }).click()]);
  assert.match(download.suggestedFilename(), /^timecoin-receipt-[0-9a-f]{12}\.json$/);
  await close();
});

test('what cannot be paid says why', async () => {
  const { page, close } = await app.open(`#/pay/${ADDRESS}?amount=1.5`, { ...UNLOCKED, fail: 'quote' });
  await page.getByText('There is not enough that can be spent.').waitFor();
  assert.ok(await page.getByRole('button', { name: 'Review' }).isDisabled());
  await close();
});

test('every final opens its proof', async () => {
  const { page, close } = await app.open(`#/tx/${ID}`);
  await page.getByRole('button', { name: /^final/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Why this payment is final' });
  for (const text of ['Signers (3)', 'Trusted to begin with', '12 certificates checked from there to here', '75.0 %']) await dialog.getByText(text).first().waitFor();
  await page.screenshot({ path: join(screenshots, 'proof-light.png') });
  await app.assertAccessible(page, 'proof');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  assert.ok(await page.getByRole('button', { name: /^final/ }).evaluate((button) => button === document.activeElement), 'focus returns');
  await close();
});

test('search by keyboard: what it finds, what it refuses', async () => {
  const { page, close } = await app.open('#/');
  await page.keyboard.press('/');
  await page.keyboard.type('2 203');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: /^Block/ }).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type(ADDRESS);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Address' }).waitFor();
  await page.keyboard.press('Control+k');
  await page.keyboard.type('abc123');
  await page.keyboard.press('Enter');
  await page.getByText('A hash has 64 hexadecimal digits; this has 6.').waitFor();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('2204');
  await page.keyboard.press('Enter');
  await page.locator('#search-hint').getByText('There is no such block yet.').waitFor();
  await close();
});

test('another block than the one asked for is not shown', async () => {
  const { page, close } = await app.open('#/', { fail: 'wrong' });
  await page.keyboard.press('/');
  await page.keyboard.type(ID);
  await page.keyboard.press('Enter');
  await page.getByText('The peer answered with another block than the one asked for. It was not shown.').waitFor();
  await page.goto(`${app.url}#/block/${ID}`);
  await page.getByRole('alert').getByText('It is not shown.').waitFor();
  await close();
});

test('contacts are kept and named where they are paid', async () => {
  const { page, close } = await app.open('#/wallet/contacts', UNLOCKED);
  await page.getByLabel('Name', { exact: true }).fill('Ann <b>');
  await page.getByLabel('Address', { exact: true }).fill(ADDRESS);
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.reload();
  await page.locator('strong').getByText('Ann <b>', { exact: true }).waitFor();
  await page.goto(`${app.url}#/pay/${ADDRESS}?amount=1`);
  await page.getByText('Contact: Ann <b>').waitFor();
  await page.getByRole('button', { name: 'Review' }).click();
  assert.ok(await page.getByRole('button', { name: 'Send', exact: true }).isEnabled(), 'a contact was compared when it was added');
  await close();
});

test('without a network the app opens and checks receipts', async () => {
  const here = await serveFixture('/other/');
  const context = await app.browser.newContext();
  const page = await context.newPage();
  await page.goto(`${here.url}#/receipt`);
  await page.getByText('Drop it here').waitFor();
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    while (navigator.serviceWorker.controller === null) await new Promise((resolve) => setTimeout(resolve, 20));
    while (localStorage.getItem('timecoin.spec') === null) await new Promise((resolve) => setTimeout(resolve, 20));
  });
  await here.close();
  await page.reload();
  await page.getByLabel('As text or link').fill('TIMERECEIPT1QQ');
  await page.getByRole('button', { name: 'Check' }).click();
  await page.getByText('Proved: this payment is final').waitFor();
  await page.getByText('kept in this browser from an earlier visit').waitFor();
  await context.close();
});

test('a page that fails says so and leaves the others alone', async () => {
  const { page, close } = await app.open('#/masternodes', { fail: 'masternodes' });
  await page.getByText('This page failed').waitFor();
  await page.getByRole('link', { name: 'Receipts' }).click();
  await page.getByText('Drop it here').waitFor();
  await close();
});
