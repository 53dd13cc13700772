// Chromium through Playwright's protocol client. Playwright downloads nothing here: the browser is the system's.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { chromium } from "./packages.mjs";
import { end, kill, memory, ready, start } from "./processes.mjs";

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

/** Starts Chromium; with `profile`, on a folder that outlives it. With `hides`, one tab hides the others, as with people, and the
 * browser can be killed. */
export async function launchChromium({ profile, hides = false } = {}) {
  const folder = profile ?? (await mkdtemp(join(tmpdir(), "timecoin-chromium-")));
  const { context, finish, kill, memory } = await (hides ? attach(folder) : begin(folder));
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
    /** Deletes what an origin has stored, as the browser's settings do. */
    async clearSite(origin) {
      const session = await context.newCDPSession(context.pages()[0]);
      await session.send("Storage.clearDataForOrigin", { origin, storageTypes: "all" });
      await session.detach();
    },
    /** Ends all its processes without a word. The profile stays. */
    kill,
    /** Bytes of memory that its pages hold, with their Workers. */
    memory,
    async close() {
      await finish();
      if (profile === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Playwright starts it, and takes every tab for the one in front. */
async function begin(folder) {
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: PROGRAM,
    headless: true,
    args: SWITCHES,
    ignoreDefaultArgs: KEPT,
    viewport: { width: 1280, height: 900 },
  });
  return { context, finish: () => context.close() };
}

/** The browser is started without Playwright, which changes nothing in it then. */
async function attach(folder) {
  const running = start(PROGRAM, ["--headless", "--remote-debugging-port=0", `--user-data-dir=${folder}`, ...SWITCHES, "about:blank"]);
  try {
    const address = await ready(running, ({ output }) => output.match(/^DevTools listening on (ws:\S+)$/m)?.[1] ?? null);
    const browser = await chromium.connectOverCDP(address, { noDefaults: true });
    const finish = async () => {
      await browser.close();
      await end(running);
    };
    return { context: browser.contexts()[0], finish, kill: () => kill(running), memory: () => memory(running, "--type=renderer") };
  } catch (error) {
    await end(running);
    throw error;
  }
}

function page(tab) {
  const log = [];
  let debugging;
  tab.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
  tab.on("pageerror", (error) => log.push(`uncaught: ${error.message}`));
  return {
    // As text, because a policy without `unsafe-eval` must not stop the test.
    evaluate: (run, ...given) => tab.evaluate(`(${run})(...${JSON.stringify(given)})`),
    goto: async (url) => void (await tab.goto(url)),
    screenshot: async (path) => void (await tab.screenshot({ path })),
    /** Shows it; a browser that `hides` hides the others. */
    front: () => tab.bringToFront(),
    /** `frozen`, as the browser does to tabs that nobody looked at for long, or `active`. */
    async lifecycle(state) {
      debugging ??= await tab.context().newCDPSession(tab);
      await debugging.send("Page.setWebLifecycleState", { state });
    },
    /** Its process crashes, with all its Workers. */
    async crash() {
      const session = await tab.context().newCDPSession(tab);
      // Nobody is left to answer.
      const crashed = new Promise((resolve) => tab.once("crash", resolve));
      session.send("Page.crash").catch(() => {});
      await crashed;
    },
    /** What the browser says of the network, to the page and its Workers. */
    online: (is) => tab.context().setOffline(!is),
    close: () => tab.close(),
    log: () => [...log],
  };
}
