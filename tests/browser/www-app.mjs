/** The app on the stand-in package of `www-fixture`, in Chromium, under the node's policy and from a subfolder. */

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from './rig/packages.mjs';
import { build, CHROMIUM, serve } from './www-server.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const www = join(root, 'www');
const require = createRequire(join(www, 'package.json'));

export const screenshots = join(process.env.TIMECOIN_BROWSER_OUTPUT ?? join(root, 'target', 'browser'), 'www');
export const ID = '46'.repeat(32);
export const ADDRESS = 'dtime1qpt4xks5w9u8kuumwyqk7lu44en9szdqaxq5r2rrd9v97ng6tgrmwl65ss7';

/** How every page is looked at. */
const LOOKS = [
  { look: 'light', colorScheme: 'light', width: 1200 },
  { look: 'dark', colorScheme: 'dark', width: 1200 },
  { look: 'narrow', colorScheme: 'light', width: 320 },
];

/** Serves the build at a folder. */
export function serveFixture(at) {
  return serve({ root, folder: join(www, 'dist-fixture'), at, files: { 'spec.json': 'name = "fixture"' } });
}

/** Builds, serves and starts Chromium. */
export async function startApp() {
  await build(www, ['--mode', 'fixture']);
  await mkdir(screenshots, { recursive: true });
  const axe = await axeSource();
  const server = await serveFixture('/some/folder/');
  const browser = await chromium.launch(CHROMIUM);
  return {
    browser,
    url: server.url,
    open: (path, plan = {}) => open(browser, server.url, path, plan),
    look: (page, name) => look(page, name, axe),
    assertAccessible: (page, name) => assertAccessible(page, name, axe),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

/** Opens a page and collects what must not happen on any. */
async function open(browser, base, path, plan) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, reducedMotion: 'reduce', acceptDownloads: true });
  await context.addInitScript((text) => {
    sessionStorage.setItem('fixture', text);
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  }, JSON.stringify(plan));
  const page = await context.newPage();
  const errors = [];
  const foreign = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (url.host !== new URL(base).host && url.protocol !== 'data:' && url.protocol !== 'blob:') foreign.push(request.url());
  });
  await page.goto(base + path);
  await page.locator('main h1').waitFor();
  return {
    page,
    async close() {
      assert.deepEqual(await page.evaluate(() => globalThis.violations), [], 'content security policy');
      assert.deepEqual(errors, [], 'uncaught errors');
      assert.deepEqual(foreign, [], 'requests to other hosts');
      await context.close();
    },
  };
}

/** The scanner, as text. */
export function axeSource() {
  return readFile(require.resolve('axe-core/axe.min.js'), 'utf8');
}

/** Looks at a page as it is, in every way: a picture, no wider than the screen, accessible. `options` are those of the picture. */
export async function look(page, name, axe, options = {}) {
  for (const { look, colorScheme, width } of LOOKS) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wider <= 0, `${name}, ${look}: ${wider} pixels wider than the screen`);
    await page.screenshot({ path: join(screenshots, `${name}-${look}.png`), fullPage: true, ...options });
    await assertAccessible(page, `${name}, ${look}`, axe);
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1200, height: 800 });
}

export async function assertAccessible(page, name, axe) {
  // The policy forbids pages to evaluate texts; the debugger may.
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] }));
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`);
  assert.deepEqual(found, [], `${name}: accessibility`);
}
