// A validator in a tab that the browser freezes, for a minute and for ten, and thaws with all its timers due. This file waits for
// eleven minutes and works for one: `cargo xtask browsers` runs it beside others.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { eventually, openValidator, startRelays, startValidator, statusOf, votes } from "./rig/validators.mjs";

const MINUTE_MS = 60_000;
/** The browser stops what a frozen page does at the end of a task. */
const STILL_MS = 2_000;

describe("frozen validators", { skip: BROWSERS.includes("chromium") ? false : "Chromium alone lets a test freeze a page" }, () => {
  let devnet;
  let server;
  let relays;
  let browser;
  let page;
  let operator;
  before(async () => {
    // No payments: a block every ten seconds.
    [devnet, server] = await Promise.all([startDevnet({ validators: 4, rate: 0 }), serveNode()]);
    relays = await startRelays(devnet, [0, 1]);
    browser = await launch("chromium", { hides: true });
    page = await openValidator(browser, server);
    devnet.kill(3);
    operator = await startValidator(page, { spec: devnet.spec, peers: relays.urls, operatorKey: await devnet.operatorKey(3) });
    await votes(page);
    const front = await browser.open(`${server.url}/blank.html`);
    await front.front();
  });
  after(async () => {
    await browser?.close();
    await relays?.close();
    await server?.close();
    await devnet?.close();
  });

  /** Freezes the page for so long, and thaws it: the height and view at which the others are then, and how to tell what the page
   * has signed since. */
  async function freeze(ms, meanwhile = () => {}) {
    await until(page, () => document.visibilityState === "hidden");
    await page.lifecycle("frozen");
    await sleep(STILL_MS);
    const frozen = await relays.votesOf(operator);
    await meanwhile();
    await sleep(ms - STILL_MS);
    assert.equal((await relays.votesOf(operator)).length, frozen.length, "a frozen page is silent");
    const { height, view } = await devnet.rpc("getconsensusinfo");
    await page.lifecycle("active");
    return { height, view, since: async () => (await relays.votesOf(operator)).slice(frozen.length) };
  }

  /** The page's votes are in the certificates again. */
  const isBack = async () => {
    const { certified } = await statusOf(page);
    await eventually(async () => (await statusOf(page)).certified >= certified + 3, async () => JSON.stringify(await statusOf(page)));
    const { stage, quarantine } = await statusOf(page);
    assert.deepEqual([stage.kind, quarantine], ["running", null]);
    assert.equal(await page.evaluate(() => window.validator.restarts), 0, "the Worker is the same");
  };

  test("after a minute, in which the others went on, it catches up and votes for nothing that is over", async () => {
    const { height, since } = await freeze(MINUTE_MS);
    await isBack();
    const signed = await since();
    console.log(`thawed at ${height}: ${signed.map((vote) => `${vote.height}/${vote.view}/${vote.phase}/${vote.block?.slice(0, 4)}`).join(" ")}`);
    assert.ok(signed.length > 0);
    assert.deepEqual(signed.filter((vote) => vote.height < height), [], `the others were at ${height}`);
  });

  test("after ten minutes, in which the others waited for its vote, it gives it, and no burst of others", async () => {
    const { height, view, since } = await freeze(10 * MINUTE_MS, () => devnet.kill(2));
    await isBack();
    const signed = await since();
    console.log(`thawed at ${height}/${view}: ${signed.map((vote) => `${vote.height}/${vote.view}/${vote.phase}/${vote.block?.slice(0, 4)}`).join(" ")}`);
    assert.ok(signed.some((vote) => vote.height === height && vote.block !== null));
    assert.deepEqual(signed.filter((vote) => vote.height < height || (vote.height === height && vote.view < view)), [], `the others were at ${height}, view ${view}`);
    // A view or two may fail until all timers agree again.
    assert.deepEqual(signed.filter((vote) => vote.height === height && vote.view > view + 3), [], "it waits in each view");
  });
});
