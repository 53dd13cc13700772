// One node for all tabs of an origin: who runs it, and what the others notice when that tab is gone.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { call, inState, openNode, serveNode } from "./rig/node-page.mjs";

const TABS = 5;

let devnet;
let server;
before(async () => {
  devnet = await startDevnet({ rate: 5 });
  server = await serveNode();
});
after(async () => {
  await server?.close();
  await devnet?.close();
});

inEachBrowser((name) => {
  let browser;
  const pages = [];
  before(async () => {
    browser = await launch(name);
  });
  after(() => browser?.close());

  const options = () => ({ spec: devnet.spec, peers: [devnet.peers[0]], store: "tabs" });
  const lights = async () => (await devnet.rpc("getpeerinfo")).filter(({ role }) => role === "light").length;
  const leaders = async () => {
    const infos = [];
    for (const page of pages) infos.push(await call(page, "info"));
    return { leaders: infos.flatMap(({ leader }, at) => (leader ? [at] : [])), tabs: infos.map(({ tabs }) => tabs), infos };
  };

  test("five tabs are one node", async () => {
    for (let tab = 0; tab < TABS; tab += 1) pages.push(await openNode(browser, server, options()));
    const { leaders: found, tabs } = await leaders();
    assert.deepEqual(found.length, 1, "one of them runs it");
    assert.deepEqual(tabs, Array(TABS).fill(TABS));
    assert.equal(await lights(), 1, "the peer has one session");
    for (const page of pages) assert.equal((await call(page, "balance", devnet.demo)).verified, true);
  });

  test("all tabs hear every head", async () => {
    const { height } = await call(pages[0], "head");
    for (const page of pages) await until(page, (height) => window.newest("heads").height > height + 2, height);
  });

  test("a call and its streams outlive the tab that ran the node", async () => {
    const { leaders: [leader] } = await leaders();
    const [gone] = pages.splice(leader, 1);
    const { txid, hex } = await devnet.signed("0.25");
    for (const page of pages) {
      await page.evaluate((txid) => {
        window.begin("final", window.node.waitFinal(txid));
        window.follow("phases", window.node.phases(txid));
      }, txid);
    }
    await gone.close();
    const closed = Date.now();
    // The next tab's Worker loads the module, opens the store and dials.
    const balance = await call(pages[0], "balance", devnet.demo);
    const took = Date.now() - closed;
    assert.equal(balance.verified, true);
    assert.equal(await call(pages[1], "submit", hex), txid);
    for (const page of pages) {
      const { value } = await until(page, () => window.begun.final);
      assert.deepEqual([value.value.txid, value.value.final], [txid, true]);
      await until(page, () => window.newest("phases") === "end");
      const phases = await page.evaluate(() => window.seen.phases.slice(0, -1).map(({ phase }) => phase));
      assert.equal(phases.at(-1), "finalized");
      assert.deepEqual(phases, [...new Set(phases)], "each once");
    }
    const { leaders: found, tabs } = await leaders();
    assert.equal(found.length, 1);
    assert.deepEqual(tabs, Array(TABS - 1).fill(TABS - 1));
    console.log(`${name}: ${took} ms from closing the tab with the node to a verified balance in another one`);
  });

  test("tabs go one by one, and the last still has its node", async () => {
    while (pages.length > 1) {
      const { leaders: [leader] } = await leaders();
      await pages.splice(leader, 1)[0].close();
    }
    const [page] = pages;
    await inState(page, "verified");
    const { height } = await call(page, "head");
    await until(page, (height) => window.newest("heads").height > height, height);
    const { tabs, leader, restarts } = await call(page, "info");
    assert.deepEqual([tabs, leader, restarts], [1, true, 0]);
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  });
});
