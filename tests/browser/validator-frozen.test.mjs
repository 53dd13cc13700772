// Validators in tabs that the browser freezes, one for a minute and one for ten, and thaws with all their timers due. They wait at
// the same time, each with a chain of its own: this file waits for ten minutes and works for two, and `cargo xtask browsers` runs it
// beside others.

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

const measured = { skip: BROWSERS.includes("chromium") ? false : "Chromium alone lets a test freeze a page" };

describe("frozen validators", { concurrency: true, ...measured }, () => {
  describe("for a minute", () => frozen(MINUTE_MS, "others go on"));
  describe("for ten minutes", () => frozen(10 * MINUTE_MS, "others wait"));
});

/** `others`: whether the other validators are a quorum without the page. */
function frozen(forMs, others) {
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
    await until(page, () => document.visibilityState === "hidden");
  });
  after(async () => {
    await browser?.close();
    await relays?.close();
    await server?.close();
    await devnet?.close();
  });

  test(`thawed after ${forMs / MINUTE_MS} min in which the ${others}, it votes, and for nothing that is over`, async () => {
    await page.lifecycle("frozen");
    await sleep(STILL_MS);
    const before = await relays.votesOf(operator);
    if (others === "others wait") devnet.kill(2);
    await sleep(forMs - STILL_MS);
    assert.equal((await relays.votesOf(operator)).length, before.length, "a frozen page is silent");
    const { height, view } = await devnet.rpc("getconsensusinfo");
    await page.lifecycle("active");

    // Its votes are in the certificates again.
    const { certified } = await statusOf(page);
    await eventually(async () => (await statusOf(page)).certified >= certified + 3, async () => JSON.stringify(await statusOf(page)));
    const { stage, quarantine } = await statusOf(page);
    assert.deepEqual([stage.kind, quarantine], ["running", null]);
    assert.equal(await page.evaluate(() => window.validator.restarts), 0, "the Worker is the same");

    const signed = (await relays.votesOf(operator)).slice(before.length);
    console.log(`thawed at ${height}/${view}: ${signed.map((vote) => `${vote.height}/${vote.view}/${vote.phase}/${vote.block?.slice(0, 4)}`).join(" ")}`);
    assert.ok(signed.length > 0);
    assert.deepEqual(signed.filter((vote) => vote.height < height), [], `the others were at ${height}`);
    if (others === "others go on") return;
    // It gives the vote the others waited for, and no burst of others.
    assert.ok(signed.some((vote) => vote.height === height && vote.block !== null));
    assert.deepEqual(signed.filter((vote) => vote.height === height && vote.view < view), [], `the others were in view ${view}`);
    // A view or two may fail until all timers agree again.
    assert.deepEqual(signed.filter((vote) => vote.height === height && vote.view > view + 3), [], "it waits in each view");
  });
}
