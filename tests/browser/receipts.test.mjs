// Receipts travel: each browser makes one, and each browser checks all of them when chain and network are gone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { call, openNode, serveNode } from "./rig/node-page.mjs";

describe("receipts", () => {
  const receipts = [];
  const browsers = new Map();
  let devnet;
  let server;
  let spec;
  before(async () => {
    devnet = await startDevnet();
    server = await serveNode();
    spec = devnet.spec;
    for (const name of BROWSERS) browsers.set(name, await launch(name));
  });
  after(async () => {
    for (const browser of browsers.values()) await browser.close();
    await server?.close();
    await devnet?.close();
  });

  for (const name of BROWSERS) {
    test(`made in ${name}`, async () => {
      const page = await openNode(browsers.get(name), server, { spec, peers: devnet.peers, store: "receipts" });
      const { txid, hex } = await devnet.signed("0.5");
      assert.equal(await call(page, "submit", hex), txid);
      const { height } = await call(page, "waitFinal", txid);
      const { json, text } = await page.evaluate((txid) => window.node.receipt(txid).then(({ json, text }) => ({ json, text })), txid);
      receipts.push({ name, txid, height, forms: [json, text] });
      await page.close();
    });
  }

  test("checked in every browser, with the chain and all servers gone", async () => {
    assert.equal(receipts.length, BROWSERS.length, "all were made");
    const pages = new Map();
    for (const [name, browser] of browsers) {
      const page = await browser.open(`${server.url}/blank.html`);
      await page.evaluate(() => {
        import("/timecoin/verifier.js").then(async (verifier) => {
          await verifier.loadVerifier();
          window.verify = (receipt, options) => verifier.verifyReceipt(receipt, options).then((proved) => ({ proved }), ({ code }) => ({ code }));
        });
      });
      await until(page, () => window.verify !== undefined);
      pages.set(name, page);
    }
    await devnet.pause();
    await server.close();
    for (const [where, page] of pages) {
      const reached = await page.evaluate((urls) => Promise.all(urls.map((url) => fetch(url).then(() => true, () => false))), ["/blank.html", devnet.url]);
      assert.deepEqual(reached, [false, false], "nobody answers any more");
      for (const { name, txid, height, forms } of receipts) {
        for (const form of forms) {
          const { proved, code } = await page.evaluate((receipt, spec) => window.verify(receipt, { spec }), form, spec);
          assert.deepEqual([code, proved?.txid, proved?.height], [undefined, txid, height], `made in ${name}, checked in ${where}`);
        }
        const [, text] = forms;
        const half = Math.floor(text.length / 2);
        const damaged = text.slice(0, half) + (text[half] === "Q" ? "P" : "Q") + text.slice(half + 1);
        const { code } = await page.evaluate((receipt, spec) => window.verify(receipt, { spec }), damaged, spec);
        assert.ok(code?.startsWith("receipt"), `a damaged one, checked in ${where}: ${code}`);
      }
      await page.close();
    }
  });
});
