// What goes wrong in a page: a Worker that traps, hangs or is ended; peers that go; a store that is lost, deleted or full.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { attempt, call, inState, openNode, serveNode, startNode } from "./rig/node-page.mjs";
import { MODULE } from "./rig/server.mjs";

let devnet;
let server;
before(async () => {
  devnet = await startDevnet({ rate: 5 });
  // The module built for tests, under the package's own scripts.
  server = await serveNode({ "/timecoin/generated/": MODULE, "/module/": MODULE });
});
after(async () => {
  await server?.close();
  await devnet?.close();
});

inEachBrowser((name) => {
  let browser;
  let page;
  before(async () => {
    browser = await launch(name);
    page = await openNode(browser, server, options("workers"));
  });
  after(() => browser?.close());

  const options = (store) => ({
    spec: devnet.spec,
    peers: devnet.peers,
    store,
    workerUrl: `${server.url}/node-worker.js`,
    wasmUrl: `${server.url}/module/timecoin_web_bg.wasm`,
  });
  const broken = (how) => page.evaluate((how) => window.breakWorker(how), how);
  const restarts = async () => (await call(page, "info")).restarts;
  const problem = async () => (await call(page, "info")).storage.problem;
  const untilProblem = (code) => until(page, async (code) => ((await window.node.info()).storage.problem?.code ?? null) === code, code);
  /** Heads go on after now. */
  const headsGoOn = async () => {
    const seen = await page.evaluate(() => window.newest("heads").height);
    await until(page, (seen) => window.newest("heads").height > seen, seen);
  };

  test("a trap starts another Worker from the store; what was open is answered", async () => {
    const { height } = await call(page, "head");
    await page.evaluate((address) => {
      window.breakWorker("trap");
      window.begin("balance", window.node.balance(address));
    }, devnet.demo);
    const { value } = await until(page, () => window.begun.balance);
    assert.ok(value.verified && value.height >= height);
    await headsGoOn();
    assert.equal(await restarts(), 1);
    const states = await page.evaluate(() => window.seen.state.map(({ kind }) => kind));
    assert.ok(states.lastIndexOf("starting") > 0 && !states.includes("failed"), String(states));
  });

  test("a Worker that hangs is replaced", async () => {
    await page.evaluate((address) => {
      window.breakWorker("hang");
      window.begin("balance", window.node.balance(address));
    }, devnet.demo);
    const { value } = await until(page, () => window.begun.balance);
    assert.equal(value.verified, true);
    await headsGoOn();
    assert.equal(await restarts(), 2);
    // WebKit keeps the tables locked where the Worker was in the middle of a transaction: then it runs from memory.
    const { code } = (await problem()) ?? {};
    assert.ok(code === undefined || (name === "webkit" && code === "store-lost"), code);
  });

  test("a Worker that was ended is replaced", async () => {
    await page.evaluate(() => window.workers.at(-1).terminate());
    await until(page, () => window.workers.length === 4);
    assert.equal((await call(page, "balance", devnet.demo)).verified, true);
    await headsGoOn();
    assert.equal(await restarts(), 3);
  });

  test("a Worker that fails again and again ends in a state with its cause", async () => {
    const outcome = await page.evaluate(
      async (given) => {
        const started = window.workers.length;
        const first = await window.outcome(window.timecoin.connect(given));
        return { first, workers: window.workers.length - started };
      },
      { ...options("crashing"), wasmUrl: `${server.url}/module/nothing.wasm` },
    );
    assert.equal(outcome.first.code, "not_loaded");
    assert.equal(outcome.workers, 6);
  });

  test("when peers go it says so, keeps what it knows, and catches up when they are back", async () => {
    const { height } = await call(page, "head");
    await devnet.pause();
    const { since } = await inState(page, "offline");
    assert.ok(Math.abs(Date.now() - since) < 30_000);
    const kept = await call(page, "head");
    assert.ok(kept.height >= height && kept.verified);
    await page.evaluate(() => window.begin("masternodes", window.node.masternodes()));
    await devnet.begin();
    await inState(page, "verified");
    await headsGoOn();
    const outcome = await until(page, () => window.begun.masternodes);
    assert.ok(outcome.value?.verified || outcome.code === "no_peers", JSON.stringify(outcome));
    assert.equal((await call(page, "balance", devnet.demo)).verified, true);
    assert.equal(await restarts(), 3, "the Worker is the same");
  });

  test("a lost connection to the store is opened again", async () => {
    // Another store than that of the Workers that were ended.
    await page.close();
    page = await openNode(browser, server, options("faults"));
    await broken("lose");
    await headsGoOn();
    assert.equal(await problem(), null);
  });

  test("a full disk stops nothing, and is over when there is room", async () => {
    await broken("full");
    await untilProblem("store-quota");
    await headsGoOn();
    assert.equal((await call(page, "balance", devnet.demo)).verified, true);
    await broken("room");
    await untilProblem(null);
  });

  test("a store deleted under it is begun anew, and it says so", async () => {
    const deleted = await page.evaluate(
      () =>
        new Promise((resolve) => {
          const request = indexedDB.deleteDatabase("faults");
          request.onsuccess = () => resolve("deleted");
          request.onerror = () => resolve(String(request.error));
        }),
    );
    assert.equal(deleted, "deleted");
    await untilProblem("store-deleted");
    const { height } = await call(page, "head");
    await headsGoOn();
    await headsGoOn();
    // The new one has what the old one had.
    await page.goto(`${server.url}/node.html`);
    await until(page, () => window.ready === true);
    await startNode(page, { ...options("faults"), peers: ["ws://127.0.0.1:9/p2p"] });
    assert.ok((await call(page, "head")).height >= height);
    assert.equal(await problem(), null);
  });

  if (name === "chromium") {
    test("a quota the browser itself enforces", async () => {
      const elsewhere = await serveNode();
      await browser.limitStorage(elsewhere.url, 1);
      try {
        page = await openNode(browser, elsewhere, { spec: devnet.spec, peers: devnet.peers });
        await untilProblem("store-quota");
        await headsGoOn();
        assert.equal((await attempt(page, "balance", devnet.demo)).value.verified, true);
      } finally {
        await browser.limitStorage(elsewhere.url, null);
        await elsewhere.close();
      }
    });
  }
});
