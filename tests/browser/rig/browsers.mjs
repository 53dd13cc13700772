// One small interface over three real browsers.
//
//   launch(name, { profile }) → Browser { name, open(url) → Page, close() }
//   Page { evaluate(function, ...arguments), goto(url), screenshot(path), close(), log() }
//
// `evaluate` runs a function in the page, awaits it, and hands its JSON value back; it sees nothing of the test's own
// scope, and keeps things for later calls on `window`. Under WebDriver the calls of all pages of one browser take turns, so evaluate what ends soon and use `until`.

import { mkdir } from "node:fs/promises";
import { describe } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { launchChromium } from "./chromium.mjs";
import { launchFirefox, launchWebkit } from "./webdriver.mjs";

const LAUNCHERS = { chromium: launchChromium, firefox: launchFirefox, webkit: launchWebkit };
const UNTIL_MS = 60_000;

/** The browsers of this run: all three, or those `TIMECOIN_BROWSERS` names. */
export const BROWSERS = (process.env.TIMECOIN_BROWSERS ?? Object.keys(LAUNCHERS).join(",")).split(",");

/** Where screenshots are kept. */
const OUTPUT = process.env.TIMECOIN_BROWSER_OUTPUT ?? fileURLToPath(new URL("../../../target/browser/", import.meta.url));

/** Starts a browser. */
export function launch(name, options = {}) {
  const launcher = LAUNCHERS[name];
  if (launcher === undefined) throw new Error(`no browser is called ${JSON.stringify(name)}`);
  return launcher(options);
}

/** Declares the same tests for every browser of this run; `declare` is told the browser's name. */
export function inEachBrowser(declare) {
  for (const name of BROWSERS) describe(name, () => declare(name));
}

/** Evaluates until the answer is truthy, and returns it. */
export async function until(page, run, ...given) {
  for (const begun = Date.now(); Date.now() - begun < UNTIL_MS; await sleep(50)) {
    const answer = await page.evaluate(run, ...given);
    if (answer) return answer;
  }
  const text = await page.evaluate(() => document.body?.innerText.slice(0, 2_000)).catch((error) => String(error));
  throw new Error(`never came true within ${UNTIL_MS} ms: ${run}\n${page.log().join("\n")}\nThe page says: ${text}`);
}

/** The file a screenshot of this name goes to. */
export async function shot(browser, name) {
  await mkdir(OUTPUT, { recursive: true });
  return `${OUTPUT}/${browser}-${name}.png`;
}
