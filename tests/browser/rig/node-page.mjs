// Pages over the npm package, as tests drive them.

import { fileURLToPath } from "node:url";

import { until } from "./browsers.mjs";
import { PAGES, serve } from "./server.mjs";

/** The package as it is published: `cargo xtask web` makes it. */
export const PACKAGE = process.env.TIMECOIN_PACKAGE ?? fileURLToPath(new URL("../../../web/dist/", import.meta.url));

/** Serves the tests' pages and the package; `instead` puts other folders in the place of the package's. */
export const serveNode = (instead = {}) => serve({ "/": PAGES, "/timecoin/": PACKAGE, ...instead });

/** Opens a page; with options, starts a node in it and waits until it is in one of these states. */
export async function openNode(browser, server, options, kinds = ["verified"]) {
  const page = await browser.open(`${server.url}/node.html`);
  await until(page, () => window.ready === true);
  if (options !== undefined) {
    await startNode(page, options);
    await inState(page, ...kinds);
  }
  return page;
}

export const startNode = (page, options) => page.evaluate((given) => window.start(given), options);

/** Waits for a state, and returns it. */
export const inState = (page, ...kinds) =>
  until(page, (wanted) => (wanted.includes(window.newest("state")?.kind) ? window.newest("state") : null), kinds);

/** Calls a method; the answer, or the failure thrown. */
export async function call(page, method, ...given) {
  const outcome = await attempt(page, method, ...given);
  if (!("value" in outcome)) throw new Error(`${method}: ${outcome.code}: ${outcome.message}`);
  return outcome.value;
}

/** Calls a method: `{ value }` or `{ code, message, advice, retry }`. */
export const attempt = (page, method, ...given) =>
  page.evaluate((method, given) => window.outcome(window.node[method](...given)), method, given);
