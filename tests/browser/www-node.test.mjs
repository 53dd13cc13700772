/**
 * The app against a real devnet, with WebAssembly blocked: it shows what its node reports, marks all of it as not
 * checked, claims nothing else, and outlives the node.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { chromium } from './rig/packages.mjs';
import { end, freePort, ready, start } from './rig/processes.mjs';
import { build, CHROMIUM, serve } from './www-server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const www = join(root, 'www');
const screenshots = join(process.env.TIMECOIN_BROWSER_OUTPUT ?? join(root, 'target', 'browser'), 'www');
const VALIDATORS = 4;

let browser;
let server;
let scratch;
let devnet;
let port;

/** The node's program: the one given, or built now. */
async function program() {
  if (process.env.TIMECOIN !== undefined) return process.env.TIMECOIN;
  await promisify(execFile)(process.env.CARGO ?? 'cargo', ['build', '--quiet', '--bin', 'timecoin'], { cwd: root });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'debug', 'timecoin');
}

async function startDevnet() {
  const parameters = ['devnet', '--validators', VALIDATORS, '--no-web', '--dir', join(scratch, 'devnet'), '--base-port', port, '--rate', 2].map(String);
  devnet = start(await program(), parameters);
  await ready(devnet, async () => ((await rpc('getblockcount').catch(() => 0)) > 2 ? true : null));
}

async function rpc(method, params = {}) {
  const response = await fetch(`http://127.0.0.1:${port}/rpc`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const { result, error } = await response.json();
  if (error !== undefined) throw new Error(error.message);
  return result;
}

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'timecoin-www-'));
  await mkdir(screenshots, { recursive: true });
  await build(www, ['--outDir', join(scratch, 'dist'), '--emptyOutDir']);
  // A devnet takes as many ports as it has nodes: far from those that are handed out.
  port = 20_000 + ((await freePort()) % 8_000);
  await startDevnet();
  server = await serve({ root, folder: join(scratch, 'dist'), at: '/app/', node: `127.0.0.1:${port}`, wasm: false });
  browser = await chromium.launch(CHROMIUM);
});

after(async () => {
  await browser?.close();
  await server?.close();
  if (devnet !== undefined) await end(devnet);
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
});

async function open(path) {
  const page = await browser.newPage({ viewport: { width: 1200, height: 800 }, reducedMotion: 'reduce' });
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(server.url + path);
  await page.locator('main h1').waitFor();
  return {
    page,
    async close() {
      assert.equal(await page.locator('.badge.ok', { hasText: /^verified/ }).count(), 0, 'nothing is called verified');
      assert.deepEqual(errors, [], 'uncaught errors');
      await page.close();
    },
  };
}

test('two builds are the same, byte for byte', async () => {
  const again = join(scratch, 'again');
  await build(www, ['--outDir', again, '--emptyOutDir']);
  const files = (await readdir(again, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
  assert.ok(files.length >= 4);
  for (const file of files) {
    const path = join(file.parentPath ?? file.path, file.name);
    assert.deepEqual(await readFile(path), await readFile(path.replace(again, join(scratch, 'dist'))), path);
  }
});

test('says that nothing is checked, and why', async () => {
  const { page, close } = await open('');
  const pill = page.locator('header button.pill');
  await pill.getByText('not verified').waitFor();
  await page.getByText('What nodes say here is not checked by your browser.').waitFor();
  await page.getByText(/^reported by the peer/).first().waitFor();
  await pill.click();
  await page.getByText('Why nothing is checked here').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('link', { name: 'Wallet' }).click();
  await page.getByText('The wallet cannot run here').waitFor();
  await close();
});

test('blocks arrive live, and nothing moves under the pointer', async () => {
  const { page, close } = await open('');
  const newest = page.locator('.strip li a').first();
  await newest.waitFor();
  await page.getByText(/Median .* of \d+ blocks/).waitFor();
  await page.locator('.strip').hover();
  const held = await newest.getAttribute('href');
  await page.getByRole('button', { name: /^\d+ new$/ }).waitFor();
  assert.equal(await newest.getAttribute('href'), held);
  await page.screenshot({ path: join(screenshots, 'node-explorer.png'), fullPage: true });
  await page.getByRole('button', { name: /^\d+ new$/ }).click();
  assert.notEqual(await newest.getAttribute('href'), held);
  await close();
});

test('a block, its payment, the addresses and the proof as the peer reports them', async () => {
  const height = await rpc('getblockcount');
  const block = await rpc('getblock', { block: height, verbose: true });
  const { page, close } = await open(`#/block/${height}`);
  await page.getByText(block.block).waitFor();
  assert.equal(await page.locator('table tbody tr').count(), block.transactions.length);
  await page.getByRole('button', { name: /^final/ }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(`Signers (${block.certificate.signers.length})`).waitFor();
  await dialog.getByText('This browser has not checked the signatures below.').waitFor();
  await page.keyboard.press('Escape');
  const payment = block.transactions[0];
  await page.keyboard.press('/');
  await page.keyboard.type(payment.txid);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Transaction' }).waitFor();
  await page.getByText(payment.txid).waitFor();
  await page.locator(`a[href="#/address/${payment.outputs[0].address}"]`).first().click();
  await page.getByRole('heading', { name: 'Address' }).waitFor();
  await page.getByText('nothing proves that it is complete').waitFor();
  await page.getByText(/\d+ coins/).first().waitFor();
  await close();
});

test('a real receipt is checked in the page, a changed one is refused, and without a spec one can be chosen', async () => {
  const spec = join(scratch, 'devnet', 'chain.json');
  const files = { 'spec.json': await readFile(spec, 'utf8') };
  const here = await serve({ root, folder: join(scratch, 'dist'), at: '/', node: `127.0.0.1:${port}`, files });
  const bare = await serve({ root, folder: join(scratch, 'dist'), at: '/', node: `127.0.0.1:${port}` });
  const page = await browser.newPage();
  const { transactions } = await rpc('getblock', { block: await rpc('getblockcount') });
  const { text, receipt } = await rpc('getreceipt', { txid: transactions[0] });
  const check = async (pasted) => {
    await page.getByLabel('As text or link').fill(pasted);
    await page.getByRole('button', { name: 'Check', exact: true }).click();
  };
  await page.goto(`${here.url}#/receipt?txid=${transactions[0]}`);
  if (existsSync(join(root, 'web', 'dist', 'verifier.js'))) {
    await page.getByText('Proved: this payment is final').waitFor();
    await page.getByText(transactions[0]).waitFor();
    await page.getByText('the chain spec that came with this page').waitFor();
    await page.screenshot({ path: join(screenshots, 'node-receipt.png'), fullPage: true });
    // What no proof stands behind is marked, and not known is not zero.
    await page.goto(here.url);
    await page.locator('.strip').getByText('reported by the peer').waitFor();
    await page.locator('.tiles').getByText('reported by the peer').waitFor();
    await page.goto(`${here.url}#/network`);
    const light = page.locator('tr', { has: page.getByRole('cell', { name: 'light', exact: true }) }).first();
    assert.equal(await light.locator('[data-label=Height]').innerText(), '—');
    await page.goto(`${here.url}#/block/0`);
    await page.getByText('no one: the chain begins here').waitFor();
    await page.getByText('Makes the coins of genesis').waitFor();
    for (const term of ['Time to finality', 'View', 'Proposer']) assert.equal(await page.locator('dt', { hasText: term }).count(), 0, term);
    await page.goto(`${here.url}#/tx/${transactions[0]}`);
    await page.getByRole('button', { name: /^final/ }).click();
    // By its receipt, or by the light node where that is faster.
    await page.getByText(/receipt proves that it is final|certificates? checked since this node started/).first().waitFor();
    await page.screenshot({ path: join(screenshots, 'node-proof.png') });
    await page.goto(`${here.url}#/receipt`);
    await check(JSON.stringify({ ...receipt, header: { ...receipt.header, supply: '1' } }));
    await page.getByText('This proves nothing').waitFor();
    assert.equal(await page.getByText('Proved: this payment is final').count(), 0);
    await check(text);
    await page.getByText('Proved: this payment is final').waitFor();
    await page.goto(`${bare.url}#/receipt`);
    await check(text);
    await page.getByText('The node does not publish its chain spec.').waitFor();
    await page.getByLabel('Chain spec').setInputFiles(spec);
    await page.getByText('Proved: this payment is final').waitFor();
    await page.getByText('the chain spec that you chose').waitFor();
  } else {
    await page.getByText('This build of the app has no receipt verifier in it.').waitFor();
    assert.equal(await page.getByText('Proved: this payment is final').count(), 0);
  }
  await page.close();
  await here.close();
  await bare.close();
});

test('with the light node everything that has a proof is checked in the page', async () => {
  const files = { 'spec.json': await readFile(join(scratch, 'devnet', 'chain.json'), 'utf8') };
  const here = await serve({ root, folder: join(scratch, 'dist'), at: '/app/', node: `127.0.0.1:${port}`, files });
  const page = await browser.newPage();
  await page.goto(here.url);
  const pill = page.locator('header button.pill');
  if (existsSync(join(root, 'web', 'dist', 'index.js'))) {
    await pill.getByText('verified', { exact: false }).and(page.locator('.ok')).waitFor();
    const height = await rpc('getblockcount');
    const { transactions } = await rpc('getblock', { block: height });
    for (const path of [`#/block/${height}`, `#/tx/${transactions[0]}`, '#/masternodes']) {
      await page.goto(here.url + path);
      await page.locator('.badge.ok', { hasText: /^verified/ }).first().waitFor();
    }
    await page.goto(`${here.url}#/tx/${transactions[0]}`);
    await page.getByRole('button', { name: /^final/ }).click();
    await page.getByRole('dialog').getByText('Trusted to begin with').waitFor();
    await page.screenshot({ path: join(screenshots, 'node-verified.png') });
  } else {
    await pill.getByText('not verified').click();
    await page.getByText('This build of the app has no light node in it.').waitFor();
  }
  await page.close();
  await here.close();
});

test('masternodes and network', async () => {
  const { page, close } = await open('#/masternodes');
  await page.getByText('active').first().waitFor();
  assert.equal(await page.locator('table tbody tr').count(), VALIDATORS);
  await page.getByRole('link', { name: 'Network' }).click();
  await page.getByRole('heading', { name: 'Peers of the serving node' }).waitFor();
  await page.getByText('validator', { exact: true }).first().waitFor();
  await close();
});

test('a lost network is noticed at once, and so is its return', async () => {
  const { page, close } = await open('');
  const pill = page.locator('header button.pill');
  await pill.getByText('not verified').waitFor();
  await page.context().setOffline(true);
  await pill.getByText('offline').waitFor({ timeout: 3_000 });
  await page.context().setOffline(false);
  await pill.getByText('not verified').waitFor({ timeout: 5_000 });
  await close();
});

test('outlives its node: says offline, keeps what it has with its age, and comes back', async () => {
  const { page, close } = await open('#/masternodes');
  const pill = page.locator('header button.pill');
  await page.getByText('active').first().waitFor();
  await end(devnet);
  await pill.getByText('offline').waitFor();
  await page.getByText(/has been out of reach for/).waitFor();
  await page.locator('.stale').first().waitFor({ timeout: 40_000 });
  await page.getByText(/\d+\ss old/).waitFor();
  assert.equal(await page.locator('table tbody tr').count(), VALIDATORS, 'what was loaded stays');
  await page.screenshot({ path: join(screenshots, 'node-offline.png'), fullPage: true });
  await page.getByRole('link', { name: 'Network' }).click();
  await page.getByText('The serving node does not answer').waitFor();
  await startDevnet();
  await pill.getByText('not verified').waitFor({ timeout: 60_000 });
  await page.getByText('validator', { exact: true }).first().waitFor();
  await close();
});
