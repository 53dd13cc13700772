// A validator in a tab that the chain needs for its quorum, while the tab is hidden, without a network, or behind relays of which
// all but one are unfair.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { eventually, openValidator, startRelays, startValidator, statusOf, votes } from "./rig/validators.mjs";
import { wireTo } from "./rig/wire.mjs";

/** Blocks of an epoch of a devnet. */
const EPOCH = 100;
const OFFLINE_MS = 12_000;
const UNFAIR = ["proposals", "prepares", "commits", "past", 400];

describe("validators away", { skip: BROWSERS.includes("chromium") ? false : "measured in Chromium" }, () => {
  let devnet;
  let server;
  let relays;
  let wires;
  let browser;
  let page;
  let operator;
  let options;
  before(async () => {
    [devnet, server] = await Promise.all([startDevnet({ validators: 4, rate: 4 }), serveNode()]);
    relays = await startRelays(devnet, [0, 1]);
    wires = await Promise.all(relays.urls.map((url) => wireTo(url)));
    browser = await launch("chromium", { hides: true });
    page = await openValidator(browser, server);
    devnet.kill(3);
    options = { spec: devnet.spec, peers: wires.map(({ url }) => url), operatorKey: await devnet.operatorKey(3) };
    operator = await startValidator(page, options);
    await votes(page);
    devnet.kill(2);
  });
  after(async () => {
    await browser?.close();
    for (const wire of wires ?? []) await wire.close();
    await relays?.close();
    await server?.close();
    await devnet?.close();
  });

  const height = () => devnet.rpc("getblockcount");
  const tell = async () => JSON.stringify(await statusOf(page).catch(() => null));
  /** Waits for blocks, each of which has a Commit that left the page by these relays. */
  async function commits(from, to, by = relays) {
    await eventually(async () => (await height()) >= to, tell);
    const own = (await by.votesOf(operator)).filter(({ phase, block }) => phase === "Commit" && block !== null);
    for (let at = from; at <= to; at += 1) assert.ok(own.some((vote) => vote.height === at), `its Commit at ${at}`);
  }

  test("hidden while the epoch changes, it goes on voting in the new set", async () => {
    const front = await browser.open(`${server.url}/blank.html`);
    await front.front();
    await until(page, () => document.visibilityState === "hidden");
    const from = (await height()) + 1;
    const boundary = Math.ceil((from + 1) / EPOCH) * EPOCH;
    await commits(from, boundary + 10);
    await page.front();
    assert.equal((await statusOf(page)).member, true);
    await front.close();
  });

  test("without a network for a while, the chain waits for it, and goes on when it is back", async () => {
    await page.online(false);
    wires.forEach((wire) => wire.cut());
    const before = await height();
    await sleep(OFFLINE_MS);
    const held = await height();
    assert.ok(held <= before + 1, `${held - before} blocks without its votes`);
    wires.forEach((wire) => wire.mend());
    await page.online(true);
    await commits(held + 1, held + 10);
    assert.equal(await page.evaluate(() => window.validator.restarts), 0, "the Worker is the same");
    assert.equal((await statusOf(page)).quarantine, null);
  });

  for (const unfair of UNFAIR) {
    test(`one fair relay is enough beside one that is unfair: ${unfair}`, async () => {
      await page.evaluate(() => window.validator.stop());
      const beside = await startRelays(devnet, [0, 1], [unfair]);
      try {
        await startValidator(page, { ...options, peers: beside.urls });
        const from = (await height()) + 1;
        await commits(from + 1, from + 10, { votesOf: async () => [...(await relays.votesOf(operator)), ...(await beside.votesOf(operator))] });
        await beside.check();
        assert.equal((await statusOf(page)).relays.length, 2, "it keeps both");
      } finally {
        await page.evaluate(() => window.validator.stop());
        await beside.close();
      }
      await startValidator(page, options);
    });
  }
});
