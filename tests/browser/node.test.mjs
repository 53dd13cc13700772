// The light node of the npm package in real browsers, against a real devnet: it starts, verifies, pays, and comes back.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { attempt, call, inState, openNode, serveNode, startNode } from "./rig/node-page.mjs";

let devnet;
let server;
before(async () => {
  devnet = await startDevnet();
  server = await serveNode();
});
after(async () => {
  await server?.close();
  await devnet?.close();
});

const options = (store) => ({ spec: devnet.spec, peers: devnet.peers, store });

/** What every answer has to carry. */
function checkAnswer(answer, { verified = true } = {}) {
  assert.equal(typeof answer.height, "number");
  assert.match(answer.block, /^[0-9a-f]{64}$/);
  assert.ok(answer.time > 1_600_000_000_000 && answer.age_ms >= 0 && answer.age_ms < 600_000, JSON.stringify(answer));
  assert.equal(answer.verified, verified);
  const { signed_weight, total_weight, certificates_checked, trusted_from } = answer.finality;
  assert.ok(Number(signed_weight) * 3 > Number(total_weight) * 2);
  assert.ok(certificates_checked >= 0);
  assert.equal(trusted_from.height, 0);
}

inEachBrowser((name) => {
  let browser;
  let page;
  before(async () => {
    browser = await launch(name);
    page = await openNode(browser, server);
  });
  after(() => browser?.close());

  test("a cold start leads to a verified head, and heads follow", async () => {
    await startNode(page, options("cold"));
    await inState(page, "verified");
    const states = await page.evaluate(() => window.seen.state.map(({ kind }) => kind));
    assert.ok(!states.includes("failed") && !states.includes("offline"), String(states));
    const head = await call(page, "head");
    checkAnswer(head);
    assert.equal(head.value.height, head.height);
    assert.equal(head.value.block, head.block);
    const known = await devnet.rpc("getblock", { block: head.height });
    assert.equal(known.block, head.block, "the block that the nodes have");
    assert.equal(known.supply, head.value.supply);
    await until(page, (height) => window.newest("heads").height > height, head.height);
    const heights = await page.evaluate(() => window.seen.heads.map(({ height }) => height));
    assert.deepEqual(heights, [...new Set(heights)].sort((one, two) => one - two), "ascending, each once");
  });

  test("a balance is proved complete, and so are coins", async () => {
    const balance = await call(page, "balance", devnet.demo);
    checkAnswer(balance);
    const coins = await call(page, "coins", devnet.demo);
    checkAnswer(coins);
    assert.equal(coins.value.length, balance.value.coins);
    const { balance: amount } = await devnet.rpc("getbalance", { address: devnet.demo });
    assert.equal(balance.value.amount, amount);
    assert.ok(coins.value.every(({ address }) => address === devnet.demo));
    const { code, advice, retry } = await attempt(page, "balance", devnet.demo.replace(/..$/, "qq"));
    assert.deepEqual([code, retry], ["bad_address", false]);
    assert.match(advice, /address/);
  });

  test("blocks, transactions and masternodes are proved", async () => {
    const { height } = await call(page, "head");
    const block = await call(page, "block", height);
    checkAnswer(block);
    const known = await devnet.rpc("getblock", { block: height, verbose: true });
    assert.deepEqual(block.value.transactions.map(({ txid }) => txid), known.transactions.map(({ txid }) => txid));
    assert.equal(block.value.certificate.signers.length, known.certificate.signers.length);
    assert.deepEqual((await call(page, "block", known.block)).value, block.value, "by its id");
    const transaction = await call(page, "transaction", known.transactions[0].txid);
    checkAnswer(transaction);
    assert.deepEqual([transaction.value.final, transaction.value.at.height], [true, height]);
    const masternodes = await call(page, "masternodes");
    checkAnswer(masternodes);
    assert.equal(masternodes.value.length, devnet.peers.length);
    assert.ok(masternodes.value.every(({ weight, status }) => Number(weight) > 0 && status === "active"));
    assert.equal((await attempt(page, "block", height + 1_000_000)).code, "not_yet");
    assert.equal((await attempt(page, "transaction", "00".repeat(32))).code, "not_found");
    assert.equal((await attempt(page, "transaction", "zz")).code, "bad_request");
  });

  test("a payment goes out, is followed through its phases, and its receipt is checked offline", async () => {
    const { txid, hex } = await devnet.signed("0.5");
    await page.evaluate((txid) => window.follow("phases", window.node.phases(txid)), txid);
    assert.equal(await call(page, "submit", hex), txid);
    assert.equal(await call(page, "submit", hex), txid, "a second time does no harm");
    const final = await call(page, "waitFinal", txid);
    checkAnswer(final);
    assert.deepEqual([final.value.phase, final.value.final, final.value.txid], ["finalized", true, txid]);
    const phases = await until(page, () => (window.newest("phases") === "end" ? window.seen.phases.slice(0, -1) : null));
    const order = ["pending", "preprepare", "prepare", "commit", "finalized"];
    const seen = phases.map(({ phase }) => order.indexOf(phase));
    assert.deepEqual(seen, [...seen].sort(), `in order: ${phases.map(({ phase }) => phase)}`);
    assert.deepEqual(phases.map(({ verified }) => verified), phases.map(({ phase }) => phase === "finalized"), "only the proof is called verified");
    assert.equal(phases.at(-1).phase, "finalized");
    const proved = await page.evaluate(
      async (txid, spec) => {
        const { text } = await window.node.receipt(txid);
        const { verifyReceipt } = await import("/timecoin/verifier.js");
        return verifyReceipt(text, { spec, anyAge: true });
      },
      txid,
      devnet.spec,
    );
    assert.deepEqual([proved.txid, proved.height], [txid, final.height]);
    // The last bytes are the signature.
    const forged = await devnet.signed("0.5");
    const { code, reason } = await attempt(page, "submit", forged.hex.replace(/..$/, (byte) => (byte === "00" ? "01" : "00")));
    assert.equal(code, "refused", "a forged signature");
    assert.ok(reason.length > 0);
    assert.equal((await attempt(page, "submit", "00")).code, "bad_request");
  });

  test("a wait ends when the page says so, or in time", async () => {
    const unknown = "11".repeat(32);
    assert.equal((await attempt(page, "waitFinal", unknown, { timeout_ms: 300 })).code, "timeout");
    const name = await page.evaluate(async (txid) => {
      const abort = new AbortController();
      const waiting = window.node.waitFinal(txid, { signal: abort.signal });
      setTimeout(() => abort.abort(), 50);
      return waiting.catch((error) => error.name);
    }, unknown);
    assert.equal(name, "AbortError");
  });

  test("a reload goes on from the store: a head at once, and no certificate again", async () => {
    const before = await call(page, "head");
    await page.goto(`${server.url}/node.html`);
    await until(page, () => window.ready === true);
    await startNode(page, options("cold"));
    const first = await call(page, "head");
    checkAnswer(first);
    assert.ok(first.height >= before.height);
    await inState(page, "verified");
    const now = await call(page, "head");
    assert.ok(now.finality.certificates_checked <= 2 + now.height - before.height, "only what is new");
    const { storage, leader, tabs, restarts, build } = await call(page, "info");
    assert.deepEqual([storage.problem, leader, tabs, restarts], [null, true, 1, 0]);
    assert.match(build.wasm_sha256, /^[0-9a-f]{64}$/);
  });

  test("without a peer what is stored is still there, with its age", async () => {
    await page.goto(`${server.url}/node.html`);
    await until(page, () => window.ready === true);
    await startNode(page, { ...options("cold"), peers: ["ws://127.0.0.1:9/p2p"] });
    const head = await call(page, "head");
    checkAnswer(head);
    assert.ok(head.height > 0);
    await inState(page, "offline");
    const peers = await page.evaluate(async () => {
      for await (const peers of window.node.peers()) return peers;
    });
    assert.deepEqual([peers.length, peers[0].url, peers[0].height], [1, "ws://127.0.0.1:9/p2p", null]);
    await page.evaluate(() => window.node.close());
    assert.equal((await attempt(page, "head")).code, "closed");
  });

  test("a chain spec that is none is refused, with what to do", async () => {
    const attempts = await page.evaluate(
      (spec) =>
        Promise.all(
          ["", "{}", spec.replace('"genesis_time"', '"genesis_tim"')].map((spec) => window.outcome(window.timecoin.connect({ spec, peers: [], store: "none" }))),
        ),
      devnet.spec,
    );
    assert.deepEqual(attempts.map(({ code }) => code), ["chain_spec", "chain_spec", "chain_spec"]);
    assert.ok(attempts.every(({ advice }) => advice.length > 20));
  });

  test("the example of the README runs as pasted", async () => {
    const readme = await readFile(new URL("../../web/README.md", import.meta.url), "utf8");
    const [, example] = /## A light node\n\n```js\n([^]*?)```/.exec(readme);
    assert.ok(example.trim().split("\n").length <= 10, "ten lines");
    const folder = await mkdtemp(join(tmpdir(), "timecoin-example-"));
    // What a bundler does with the name of the package; and the peer of the example is a node of this machine.
    const script = example.replace("'timecoin'", "'/timecoin/index.js'").replace("ws://127.0.0.1:24201/p2p", devnet.peers[0]);
    await writeFile(join(folder, "main.js"), script);
    await writeFile(join(folder, "spec.json"), devnet.spec);
    await writeFile(join(folder, "index.html"), '<!doctype html><title>An example</title><body></body><script type="module" src="main.js"></script>');
    const pasted = await serveNode({ "/example/": folder });
    try {
      const other = await browser.open(`${pasted.url}/example/index.html`);
      const text = await until(other, () => /^block \d+ of [\d.]+ TIME, \d+ ms old, signed by \d+ of \d+ weight$/.exec(document.body.textContent)?.[0]);
      assert.ok(text.startsWith("block "), text);
      await other.close();
    } finally {
      await pasted.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  test("nothing here broke the policy, and the probe finds nothing missing", async () => {
    assert.deepEqual(await page.evaluate(() => window.timecoin.probe()), { ok: true, missing: [], limited: [] });
    assert.deepEqual(await page.evaluate(() => window.violations), []);
  });

  // WebKit's profile ends with the browser.
  if (name !== "webkit") {
    test("a restart of the browser goes on from the store", async () => {
      const profile = await mkdtemp(join(tmpdir(), `timecoin-${name}-`));
      try {
        const first = await launch(name, { profile });
        const begun = await openNode(first, server, options("kept"));
        const { height } = await call(begun, "head");
        await first.close();
        const second = await launch(name, { profile });
        const again = await openNode(second, server, { ...options("kept"), peers: ["ws://127.0.0.1:9/p2p"] }, ["connecting", "offline"]);
        assert.ok((await call(again, "head")).height >= height);
        await second.close();
      } finally {
        await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      }
    });
  }
});
