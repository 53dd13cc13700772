/** What people do in the app: search, look at proofs, go offline. Paying is in `wallet.test.mjs`. */

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { ADDRESS, ID, screenshots, serveFixture, startApp } from './www-app.mjs';

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

test('every final opens its proof', async () => {
  const { page, close } = await app.open(`#/tx/${ID}`);
  await page.getByRole('button', { name: /^final/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Why this payment is final' });
  for (const text of ['Signers (3)', 'Trusted to begin with', '12 certificates checked since this node started', '75.0 %']) await dialog.getByText(text).first().waitFor();
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

test('a payment is not called final because a peer says so', async () => {
  const { page, close } = await app.open('#/', { fail: 'pending' });
  const phases = ['commit', 'finalized'];
  await page.routeWebSocket(/\/rpc$/, (socket) =>
    socket.onMessage((text) => {
      const { id, method, params } = JSON.parse(text);
      socket.send(JSON.stringify({ jsonrpc: '2.0', id, result: id }));
      if (method !== 'subscribe' || params.topic !== 'transactions') return;
      for (const phase of phases) socket.send(JSON.stringify({ jsonrpc: '2.0', method: 'subscription', params: { subscription: id, result: { phase, txids: params.filter } } }));
    }),
  );
  await page.goto(`${app.url}#/tx/${ID}`);
  await page.reload();
  await page.getByText(/^committed: /).waitFor();
  assert.equal(await page.locator('[aria-current=step]').innerText().then((text) => text.split('\n')[0]), 'Commit');
  assert.equal(await page.getByText(/^final/).count(), 0);
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
