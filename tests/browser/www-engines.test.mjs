// The app in every browser of the rig, against the stand-in package: its pages come up under the node's policy, fit a
// narrow window, and nothing of the language or the platform that they use is missing.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { inEachBrowser, launch, shot, until } from './rig/browsers.mjs';
import { build, serve } from './www-server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const PAGES = [
  ['explorer', '#/', 'Newest final block'],
  ['block', '#/block/2203', 'Signed by'],
  ['address', '#/address/dtime1qpt4xks5w9u8kuumwyqk7lu44en9szdqaxq5r2rrd9v97ng6tgrmwl65ss7', 'verified, complete'],
  ['masternodes', '#/masternodes', 'active'],
  ['receipt', '#/receipt?r=TIMERECEIPT1QQ', 'Proved: this payment is final'],
];

inEachBrowser((name) => {
  let server;
  let browser;
  before(async () => {
    await build(join(root, 'www'), ['--mode', 'fixture']);
    server = await serve({ root, folder: join(root, 'www', 'dist-fixture'), at: '/app/', files: { 'spec.json': 'name = "fixture"' } });
    browser = await launch(name);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('draws its pages and breaks no policy', async () => {
    const page = await browser.open(server.url);
    await until(page, () => document.querySelector('main h1') !== null);
    for (const [what, path, text] of PAGES) {
      await page.goto('about:blank');
      await page.goto(server.url + path);
      await page.evaluate(() => {
        window.faults = [];
        addEventListener('error', ({ message }) => window.faults.push(message));
        addEventListener('unhandledrejection', ({ reason }) => window.faults.push(String(reason)));
        document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => window.faults.push(violatedDirective));
      });
      assert.ok(await until(page, (wanted) => document.body.innerText.includes(wanted), text), `${what}: ${text}`);
      assert.deepEqual(await page.evaluate(() => window.faults), [], what);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth), false, `${what}: too wide`);
      await page.screenshot(await shot(name, `www-${what}`));
    }
    await page.close();
  });
});
