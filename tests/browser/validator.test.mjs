// A full validator in a page, against real native validators: it is needed for a quorum, votes, proposes, and comes back.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BROWSERS, launch } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { eventually as reach, openValidator, statusOf } from "./rig/validators.mjs";

/** Waits for something true. */
const eventually = (page, probe) => reach(probe, async () => `${JSON.stringify(await statusOf(page))}\n${page.log().join("\n")}`);

// Most of the time is waited for: all browsers at once, each with a devnet of its own.
describe("validators", { concurrency: true }, () => {
  for (const name of BROWSERS) describe(name, { concurrency: 1 }, () => validatorTests(name));
});

function validatorTests(name) {
  let devnet;
  let server;
  let browser;
  let page;
  let options;
  before(async () => {
    [devnet, server] = await Promise.all([startDevnet({ validators: 4 }), serveNode()]);
    browser = await launch(name);
    // The page takes the place of the last of four.
    devnet.kill(3);
    options = { spec: devnet.spec, peers: devnet.peers.slice(0, 3), operatorKey: await devnet.operatorKey(3) };
    page = await open();
  });
  after(async () => {
    await browser?.close();
    await server?.close();
    await devnet?.close();
  });

  const open = () => openValidator(browser, server);
  /** Waits until the chain has grown by this many blocks. */
  const grow = async (blocks) => {
    const from = await devnet.rpc("getblockcount");
    await eventually(page, async () => (await devnet.rpc("getblockcount")) >= from + blocks);
    return { from, to: from + blocks };
  };

  test("a key without its memory is silent first, then votes", async () => {
    const { operator, code, message } = await page.evaluate((given) => window.start(given), options);
    assert.match(operator ?? `${code}: ${message}`, /^[0-9a-f]{64}$/);
    await eventually(page, () => page.evaluate(() => window.validator.status.quarantine !== null));
    const silent = await statusOf(page);
    assert.deepEqual([silent.quarantine.reason, silent.votes_signed, silent.member], ["memory_missing", 0, true]);
    await eventually(page, () => page.evaluate(() => window.validator.status.quarantine === null && window.validator.status.certified > 0));
    const { votes_signed, weight, total_weight, stage } = await statusOf(page);
    assert.equal(stage.kind, "running");
    assert.ok(votes_signed > 0);
    assert.equal(Number(total_weight), 4 * Number(weight));
  });

  test("without its vote there is no quorum, and with it there is", async () => {
    devnet.kill(2);
    const { from } = await grow(10);
    const { certified, operator } = await page.evaluate(() => ({ ...window.validator.status, operator: window.validator.operator }));
    assert.ok(certified >= 10);
    await eventually(page, () => page.evaluate(() => window.validator.status.proposed > 0));
    const { height } = await statusOf(page);
    const proposers = [];
    for (let at = from; at <= height; at += 1) proposers.push((await devnet.rpc("getblock", { block: at })).proposer);
    assert.ok(proposers.includes(operator), "native nodes have a block that the page proposed");
  });

  test("another tab of the same browser may not vote with the key", async () => {
    const second = await open();
    assert.equal((await second.evaluate((given) => window.start(given), options)).code, "key_in_use");
    await second.close();
  });

  test("a Worker that is killed is replaced, and goes on from what it has stored", async () => {
    await page.evaluate(() => window.workers.at(-1).terminate());
    await eventually(page, () => page.evaluate(() => window.validator.restarts === 1));
    await eventually(page, () => page.evaluate(() => window.validator.status.stage.kind === "running" && window.validator.status.votes_signed > 0));
    assert.equal((await statusOf(page)).quarantine, null, "it remembers what it has signed");
    await grow(5);
    const { masternodes } = await devnet.rpc("masternodelist");
    assert.ok(masternodes.every(({ status }) => status === "active"), JSON.stringify(masternodes));
  });

  test("a validator that is stopped signs no more", async () => {
    await page.evaluate(() => window.validator.stop());
    assert.equal((await statusOf(page)).stage.kind, "stopped");
  });
}
