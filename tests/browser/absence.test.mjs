// Pages that were away: hidden for two minutes, frozen with the node in them, without a network. These tests wait more
// than they work, so most go on at the same time.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { call, inState, openNode, serveNode } from "./rig/node-page.mjs";
import { wireTo } from "./rig/wire.mjs";

const HIDDEN_MS = 120_000;
const FROZEN_MS = 10_000;

let devnet;
let server;
before(async () => {
  devnet = await startDevnet({ rate: 2 });
  server = await serveNode();
});
after(async () => {
  await server?.close();
  await devnet?.close();
});

const options = (store) => ({ spec: devnet.spec, peers: [devnet.peers[0]], store });

/** Begins a call, and waits for its outcome: a call that hangs ends the test, not the run. */
async function answered(page, method, ...given) {
  await page.evaluate((method, given) => window.begin("answered", window.node[method](...given)), method, given);
  return until(page, () => window.begun.answered);
}

/** A verified balance, and a head newer than any so far. */
async function works(page) {
  const outcome = await answered(page, "balance", devnet.demo);
  assert.equal(outcome.value?.verified, true, JSON.stringify(outcome));
  const { height } = await page.evaluate(() => window.newest("heads"));
  await until(page, (height) => window.newest("heads").height > height, height);
}

/** Nothing that the page reads ended, failed, or was told twice. */
async function streamsAreWhole(page) {
  const { state, heads } = await page.evaluate(() => window.seen);
  const broken = [...state, ...heads].filter((item) => item === "end" || item.failure !== undefined || item.kind === "failed");
  assert.deepEqual(broken, []);
  const heights = heads.map(({ height }) => height);
  assert.deepEqual(heights, [...new Set(heights)].toSorted((a, b) => a - b), "each head once, in order");
  assert.deepEqual(await page.evaluate(() => window.violations), []);
}

/** Follows a payment that nobody has sent yet; what it gives back sends it past the page. */
async function followPayment(page) {
  const { txid, hex } = await devnet.signed("0.25");
  await page.evaluate((txid) => {
    window.begin("final", window.node.waitFinal(txid));
    window.follow("phases", window.node.phases(txid));
  }, txid);
  return { txid, send: () => devnet.rpc("sendrawtransaction", { hex }) };
}

/** The payment is final for the page: what it asked before it was away is answered. */
async function isFinal(page, txid) {
  const { value } = await until(page, () => window.begun.final);
  assert.deepEqual([value.value.txid, value.value.final, value.verified], [txid, true, true]);
  await until(page, () => window.newest("phases") === "end");
  assert.equal(await page.evaluate(() => window.seen.phases.at(-2).phase), "finalized");
}

const inTurn = { concurrency: 1 };
describe("away", { concurrency: true }, () => {
  if (BROWSERS.includes("chromium")) describe("chromium, frozen", inTurn, frozen);
  for (const name of BROWSERS) {
    // WebKitGTK's driver opens every tab as one that is seen: no `visibilitychange` ever comes.
    if (name !== "webkit") describe(`${name}, hidden`, inTurn, () => hidden(name));
    describe(`${name}, without a network`, inTurn, () => unreached(name));
  }
});

function hidden(name) {
  let browser;
  before(async () => (browser = await launch(name, { hides: true })));
  after(() => browser?.close());

  test("a tab hidden for two minutes comes back verified, and whatever it asked is answered", async () => {
    const page = await openNode(browser, server, options("hidden"));
    const payment = await followPayment(page);
    await page.evaluate(() => {
      window.turns = [];
      document.addEventListener("visibilitychange", () => window.turns.push([document.visibilityState, performance.now()]));
    });
    const other = await browser.open(`${server.url}/blank.html`);
    await other.front();
    // Nothing is asked of the page meanwhile: WebDriver would show it.
    await sleep(HIDDEN_MS / 2);
    await payment.send();
    await sleep(HIDDEN_MS / 2 + 1_000);
    await page.front();
    await until(page, () => document.visibilityState === "visible");
    const turns = await page.evaluate(() => window.turns);
    assert.deepEqual(turns.map(([state]) => state), ["hidden", "visible"]);
    assert.ok(turns[1][1] - turns[0][1] >= HIDDEN_MS, "two minutes by the page's own clock");
    await inState(page, "verified");
    await works(page);
    await isFinal(page, payment.txid);
    await streamsAreWhole(page);
    assert.equal((await call(page, "info")).restarts, 0, "the Worker is the same");
  });
}

function frozen() {
  let browser;
  let front;
  before(async () => {
    browser = await launch("chromium", { hides: true });
    front = await browser.open(`${server.url}/blank.html`);
  });
  after(() => browser?.close());

  /** Browsers freeze tabs that are hidden. */
  const freeze = async (page) => {
    await until(page, () => document.visibilityState === "hidden");
    await page.lifecycle("frozen");
  };

  test("a tab frozen alone goes on where it was", async () => {
    const page = await openNode(browser, server, options("alone"));
    const payment = await followPayment(page);
    await front.front();
    await freeze(page);
    await payment.send();
    await sleep(FROZEN_MS);
    await page.lifecycle("active");
    await page.front();
    await works(page);
    await inState(page, "verified");
    await isFinal(page, payment.txid);
    await streamsAreWhole(page);
    await page.close();
  });

  test("where the tab with the node is frozen another one takes over, and the first is one of the others when it wakes", async () => {
    const first = await openNode(browser, server, options("shared"));
    const second = await openNode(browser, server, options("shared"));
    assert.deepEqual([(await call(first, "info")).leader, (await call(second, "info")).leader], [true, false]);
    const payment = await followPayment(second);
    await second.front();
    await freeze(first);
    await payment.send();
    const begun = Date.now();
    await works(second);
    console.log(`chromium: ${Date.now() - begun} ms from freezing the tab with the node to a newer head in another one`);
    await isFinal(second, payment.txid);
    await inState(second, "verified");
    assert.equal((await call(second, "info")).leader, true);
    await streamsAreWhole(second);
    await first.lifecycle("active");
    await first.front();
    await works(first);
    await inState(first, "verified");
    await works(second);
    const [one, other] = [await call(first, "info"), await call(second, "info")];
    assert.deepEqual([one.leader, other.leader, one.tabs, other.tabs], [false, true, 2, 2]);
    await streamsAreWhole(first);
  });
}

function unreached(name) {
  let browser;
  let wire;
  before(async () => {
    browser = await launch(name);
    wire = await wireTo(devnet.peers[0]);
  });
  after(async () => {
    await browser?.close();
    await wire?.close();
  });

  /** Cuts the wire until the page says so, and mends it. */
  const cut = async (page, told) => {
    const { height } = await call(page, "head");
    await told(false);
    wire.cut();
    const { since } = await inState(page, "offline");
    assert.ok(since <= Date.now());
    const { value: kept } = await answered(page, "head");
    assert.ok(kept.height >= height && kept.verified, "what it knows stays");
    assert.equal((await answered(page, "balance", devnet.demo)).code, "no_peers");
    const payment = await followPayment(page);
    await payment.send();
    wire.mend();
    await told(true);
    await inState(page, "verified");
    await works(page);
    await isFinal(page, payment.txid);
    await streamsAreWhole(page);
    assert.equal((await call(page, "info")).restarts, 0, "the Worker is the same");
  };

  test("a network that is gone without a word is noticed, and so is its return", async () => {
    const page = await openNode(browser, server, { ...options("cut"), peers: [wire.url] });
    await cut(page, () => {});
    await page.close();
  });

  if (name === "chromium") {
    test("so it is where the browser says that there is no network", async () => {
      const page = await openNode(browser, server, { ...options("told"), peers: [wire.url] });
      await cut(page, (is) => page.online(is));
      await page.close();
    });
  }
}
