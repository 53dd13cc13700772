// Chromium through Playwright's protocol client. Playwright downloads nothing here: the browser is the system's.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "./packages.mjs";

const PROGRAM = "/usr/bin/chromium";
const SWITCHES = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
// Playwright would switch these off; pages must live with them.
const KEPT = [
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
];

/** Starts Chromium; with `profile`, on a folder that outlives it. */
export async function launchChromium({ profile } = {}) {
  const folder = profile ?? (await mkdtemp(join(tmpdir(), "timecoin-chromium-")));
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: PROGRAM,
    headless: true,
    args: SWITCHES,
    ignoreDefaultArgs: KEPT,
    viewport: { width: 1280, height: 900 },
  });
  // A browser starts with one empty tab: the first page takes it.
  const waiting = context.pages();
  let debugging;
  return {
    name: "chromium",
    async open(url) {
      const tab = waiting.pop() ?? (await context.newPage());
      await tab.goto(url);
      return page(tab);
    },
    /** The bytes an origin may store; `null` for as many as before. Chromium alone lets a test say so. */
    async limitStorage(origin, quotaSize) {
      // The limit holds as long as the session that set it.
      debugging ??= await context.newCDPSession(context.pages()[0]);
      await debugging.send("Storage.overrideQuotaForOrigin", quotaSize === null ? { origin } : { origin, quotaSize });
    },
    async close() {
      await context.close();
      if (profile === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function page(tab) {
  const log = [];
  tab.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => log.push(`uncaught: ${error.message}`));
  return {
    // As text, because a policy without `unsafe-eval` must not stop the test.
    evaluate: (run, ...given) => tab.evaluate(`(${run})(...${JSON.stringify(given)})`),
    goto: async (url) => void (await tab.goto(url)),
    screenshot: async (path) => void (await tab.screenshot({ path })),
    close: () => tab.close(),
    log: () => [...log],
  };
}
