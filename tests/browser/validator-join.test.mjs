// A tab that opens on a chain it knows nothing of: it votes on what peers prove, before it has the coins.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BROWSERS, launch } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { eventually as reach, openValidator, statusOf } from "./rig/validators.mjs";

const COINS = 30_000;
/** Too many blocks to be just caught up with. */
const BLOCKS = 12;

/** Waits for a status, and returns it. */
async function eventually(page, probe) {
  let status;
  await reach(async () => probe((status = await statusOf(page))), async () => `${JSON.stringify(status)}\n${page.log().join("\n")}`);
  return status;
}

describe("validators that join", { concurrency: true }, () => {
  for (const name of BROWSERS) describe(name, { concurrency: 1 }, () => joining(name));
});

function joining(name) {
  let devnet;
  let server;
  let browser;
  let page;
  let operator;
  before(async () => {
    [devnet, server] = await Promise.all([startDevnet({ validators: 3, browsers: 1, rate: 0 }), serveNode()]);
    await devnet.coins(COINS);
    while ((await devnet.rpc("getblockcount")) < BLOCKS) await devnet.coins(1);
    // From now on the chain needs the page's vote.
    devnet.kill(2);
    browser = await launch(name);
    page = await openValidator(browser, server);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await devnet?.close();
  });

  test("its first vote waits for neither blocks nor coins, and the chain goes on by it", async () => {
    const { height: stood } = await devnet.rpc("getblockchaininfo").then(({ blocks }) => ({ height: blocks }));
    const paid = devnet.coins(1);
    const options = { spec: devnet.spec, peers: devnet.peers.slice(0, 2), operatorKey: await devnet.browserKey(0), unused: true };
    const started = await page.evaluate((given) => window.start(given), options);
    assert.match(started.operator ?? JSON.stringify(started), /^[0-9a-f]{64}$/);
    operator = started.operator;
    const { quarantine, certified, missed, height } = await eventually(page, (status) => status.certified > 0);
    assert.equal(quarantine, null);
    // The peer that proved the state may have been a block behind.
    assert.ok(certified + missed <= height - stood + 1, `${certified} + ${missed} blocks up to ${height}: those up to ${stood} are not here`);
    await paid;
    assert.ok((await devnet.rpc("getblockcount")) > stood);
  });

  test("it proposes", async () => {
    await eventually(page, async ({ proposed }) => {
      if (proposed === 0) await devnet.coins(1);
      return proposed > 0;
    });
    // Native nodes have it, too: a moment later, perhaps.
    await eventually(page, async () => {
      const proposers = new Set();
      const height = await devnet.rpc("getblockcount");
      for (let at = BLOCKS; at <= height; at += 1) proposers.add((await devnet.rpc("getblock", { block: at })).proposer);
      return proposers.has(operator);
    });
  });

  test("in the end it has every coin, and goes on from its store", async () => {
    await eventually(page, ({ filled }) => filled === null);
    const before = await statusOf(page);
    await page.evaluate(() => window.workers.at(-1).terminate());
    const begun = await eventually(page, ({ stage, height }) => stage.kind === "running" && height >= before.height);
    assert.equal(begun.filled, null);
    await devnet.coins(1);
    await eventually(page, ({ height }) => height > begun.height);
  });
}
