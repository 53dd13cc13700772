/**
 * Masternodes on the wallet's pages and the validator's page over a real devnet, in Chromium: a masternode is registered with a
 * key made here, gets another operator, votes from this tab, and is retired; wrong passwords, a second tab, a frozen page. Every
 * page is looked at: light, dark, 320 pixels wide, and without an accessibility fault. Screenshots are in `target/browser/www`.
 */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startDevnet } from './rig/devnet.mjs';
import { chromium } from './rig/packages.mjs';
import { eventually } from './rig/validators.mjs';
import { axeSource, look as lookAt, screenshots } from './www-app.mjs';
import { build, CHROMIUM } from './www-server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PASSWORD = 'correct horse';
const KEY_PASSWORD = 'battery staple';
/** Payments a second, and so blocks: an epoch of 100 ends within half a minute. */
const RATE = 4;
/** Several of them, on a busy machine. */
const EPOCHS_MS = 300_000;

let axe;
let browser;
let devnet;
let folder;
let context;
let page;
let paid;
const violations = [];

before(async () => {
  await mkdir(screenshots, { recursive: true });
  folder = await mkdtemp(join(tmpdir(), 'timecoin-validator-pages-'));
  axe = await axeSource();
  await build(join(root, 'www'), ['--outDir', folder, '--emptyOutDir']);
  devnet = await startDevnet({ validators: 3, browsers: 1, rate: RATE, web: folder });
  // The demo wallet has a Bronze collateral, and nothing for fees.
  paid = devnet.pay(devnet.demo, 10);
  paid.catch(() => undefined);
  browser = await chromium.launch(CHROMIUM);
  context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: 'reduce' });
  await context.exposeFunction('violated', (text) => violations.push(text));
  await context.addInitScript(() => document.addEventListener('securitypolicyviolation', (event) => globalThis.violated(`${event.violatedDirective} ${event.blockedURI}`)));
  context.setDefaultTimeout(90_000);
  page = await open('#/wallet');
});

after(async () => {
  await browser?.close();
  await devnet?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

async function open(hash) {
  const tab = await context.newPage();
  tab.on('pageerror', (error) => violations.push(error.message));
  await tab.goto(`${devnet.url}/${hash}`);
  return tab;
}

const look = (name) => lookAt(page, name, axe);

const goTo = (hash) => page.evaluate((to) => void (location.hash = to), hash);
const button = (name) => page.getByRole('button', { name, exact: true });
const listed = async () => (await devnet.rpc('masternodelist')).masternodes.find(({ registered_at }) => registered_at > 0);

/** A new operator key, as the form asks for it. */
async function newKey() {
  await page.getByLabel('Password', { exact: true }).fill(KEY_PASSWORD);
  await page.getByLabel('Password again').fill(KEY_PASSWORD);
}

test('a masternode is registered with a key made here', async () => {
  await button('Restore a wallet').click();
  await page.getByLabel('Words').fill(devnet.words);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('Password again').fill(PASSWORD);
  await button('Restore').click();
  await page.locator('[aria-label=Balance]').getByText('verified, complete').waitFor();
  await paid;
  await goTo('#/wallet/masternodes');
  await page.getByText('None. A masternode votes').waitFor();
  await look('masternodes-none');
  await button('Register a masternode').click();
  await page.getByLabel('Tier').selectOption('silver');
  await newKey();
  await look('masternode-register');
  await button('Review').click();
  await page.getByText(/Insufficient funds/).waitFor();
  await page.getByLabel('Tier').selectOption('bronze');
  // The key of the first attempt is kept; its consent takes its password.
  await page.getByLabel('Password of the key').or(page.getByLabel('Password again')).first().waitFor();
  await page.getByLabel('Operator key').selectOption({ index: 0 });
  await page.getByLabel('Password of the key').fill('wrong');
  await button('Review').click();
  await page.getByText('Wrong password, or the stored operator key is damaged.').waitFor();
  await page.getByLabel('Password of the key').fill(KEY_PASSWORD);
  await button('Review').click();
  await page.getByText('Lock the collateral and register?').waitFor();
  await page.getByText('0.00 TIME').first().waitFor();
  await look('masternode-confirm');
  await button('Register a masternode').click();
  await page.getByRole('heading', { name: 'Done' }).waitFor();
  const { tier, class: place, status } = await listed();
  assert.deepEqual([tier, place, status], ['Bronze', 'Browser', 'active']);
  await button('Back to the list').click();
  await page.getByText(/In the set/).waitFor();
  await look('masternodes');
});

test('it gets another operator', async () => {
  const { operator: before } = await listed();
  await button('Change operator').click();
  await newKey();
  await button('Review').click();
  await page.getByText('Give it this operator?').waitFor();
  await button('Change the operator').click();
  await page.getByRole('heading', { name: 'Done' }).waitFor();
  const { operator } = await listed();
  assert.notEqual(operator, before);
  await goTo('#/validator');
  await page.getByText('It votes for no masternode').waitFor();
  await page.getByText(/It votes for a bronze masternode/).waitFor();
  await look('validator-keys');
});

test('it is started by its password, and a second tab is told who votes', async () => {
  const { operator } = await listed();
  const row = page.locator('li', { has: page.locator(`[title="${operator}"]`) });
  await row.getByRole('button', { name: 'Validate with it' }).click();
  await row.getByLabel('Password of the key').fill('wrong');
  await row.getByRole('button', { name: 'Start validating' }).click();
  await row.getByText('Wrong password, or the stored operator key is damaged.').waitFor();
  await row.getByLabel('Password of the key').fill(KEY_PASSWORD);
  await row.getByRole('button', { name: 'Start validating' }).click();
  await page.getByText('This tab validates').waitFor();
  // Whether the epoch has turned by now is no matter of this test.
  await page.getByText(/Its masternode is in the set from the next epoch on|voting/).first().waitFor();
  assert.equal(await page.getByText('Silent for now').count(), 0, 'a key made here has never signed, and need not be silent');
  await page.locator('[aria-labelledby=relays]').getByText(/\d ms/).first().waitFor();
  await look('validator');
  const second = await open('#/validator');
  await second.getByText('Another tab of this browser holds the signing lock').waitFor();
  assert.ok(await second.locator('li', { hasText: 'Another tab' }).getByRole('button', { name: 'Validate with it' }).isDisabled());
  await second.close();
});

test('from the next epoch on its votes are in the certificates, as every node counts them', async () => {
  await eventually(async () => (await listed()).signed_this_epoch > 0, async () => JSON.stringify(await listed()), EPOCHS_MS);
  await page.locator('#duty').locator('..').getByText('voting', { exact: true }).waitFor();
  await look('validator-voting');
});

test('frozen it gives the key up, and it takes it again when it is back', async () => {
  const { operator } = await listed();
  const other = await open('#/network');
  const held = async () => (await other.evaluate(async () => (await navigator.locks.query()).held.map(({ name }) => name))).includes(`timecoin operator ${operator}`);
  await eventually(held);
  // Frozen by the debugger, the page kept its lock here, and why is not known: it is told what a browser would tell it.
  await page.evaluate(() => document.dispatchEvent(new Event('freeze')));
  await page.getByText('suspended').waitFor();
  await eventually(async () => !(await held()));
  await page.evaluate(() => document.dispatchEvent(new Event('resume')));
  await eventually(held);
  await page.getByText(/voting|not in the set/).first().waitFor();
  assert.equal(await page.getByText('Silent for now').count(), 0, 'it remembers what it has signed');
  await other.close();
});

test('it is retired, and the page says when its collateral is free', async () => {
  await goTo('#/wallet/masternodes');
  await button('Retire').click();
  await look('masternode-retire');
  await button('Review').click();
  await page.getByText('Retire it?').waitFor();
  await button('Retire the masternode').click();
  await page.getByRole('heading', { name: 'Done' }).waitFor();
  const { status, unlock_at } = await listed();
  assert.equal(status, 'retired');
  await button('Back to the list').click();
  const date = await page.evaluate((at) => new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' }), unlock_at);
  await page.getByText(`Its collateral is free on ${date}.`).waitFor();
  await look('masternodes-retired');
  await goTo('#/validator');
  await button('Leave safely').click();
  await page.getByText('This tab has left').waitFor();
});

test('a link is kept under a password, or said to be damaged', async () => {
  await page.goto(`${devnet.url}/#/validator?key=12345`);
  await page.getByText('The key in this link is damaged').waitFor();
  await page.goto('about:blank');
  await page.goto(devnet.links[0]);
  await page.getByText('A key came with the link').waitFor();
  await look('validator-link');
  await button('Keep it under a password').click();
  await newKey();
  await button('Keep it').click();
  await page.getByText('It is kept in this browser under your password.').waitFor();
  await page.reload();
  const { operator } = (await devnet.rpc('masternodelist')).masternodes.find((masternode) => masternode.class === 'Browser' && masternode.registered_at === 0);
  await page.locator(`li [title="${operator}"]`).waitFor();
  assert.equal(await page.getByText('A key came with the link').count(), 0, 'loaded anew, the tab knows the kept key alone');
});

test('no policy was broken and nothing was thrown', () => assert.deepEqual(violations, []));
