// Receipts travel: each browser makes one, and each browser checks all of them when chain and network are gone.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { call, openNode, serveNode } from "./rig/node-page.mjs";

describe("receipts", () => {
  const receipts = [];
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

  /** What `work` gives, of a browser that is gone afterwards. */
  const inBrowser = async (name, work) => {
    const browser = await launch(name);
    try {
      return await work(browser);
    } finally {
      await browser.close();
    }
  };

  for (const name of BROWSERS) {
    test(`made in ${name}`, () =>
      inBrowser(name, async (browser) => {
        const page = await openNode(browser, server, { spec: devnet.spec, peers: devnet.peers, store: "receipts" });
        const { txid, hex } = await devnet.signed("0.5");
        assert.equal(await call(page, "submit", hex), txid);
        const { height } = await call(page, "waitFinal", txid);
        const { json, text } = await page.evaluate((txid) => window.node.receipt(txid).then(({ json, text }) => ({ json, text })), txid);
        receipts.push({ maker: name, txid, height, forms: [json, text] });
      }));
  }

  test("the chain ends", async () => {
    assert.equal(receipts.length, BROWSERS.length, "all were made");
    await devnet.pause();
  });

  for (const name of BROWSERS) {
    test(`all are checked in ${name}, where nobody answers any more`, () =>
      inBrowser(name, async (browser) => {
        const alone = await serveNode();
        const page = await browser.open(`${alone.url}/blank.html`);
        await page.evaluate(() => {
          const check = async ({ loadVerifier, verifyReceipt }) => {
            await loadVerifier();
            window.check = (receipt, spec) => verifyReceipt(receipt, { spec }).catch(({ code }) => ({ code }));
          };
          import("/timecoin/verifier.js").then(check);
        });
        await until(page, () => window.check !== undefined);
        await alone.close();
        assert.equal(await page.evaluate(() => fetch("/blank.html").then(() => true, () => false)), false, "cut off");
        const check = (receipt) => page.evaluate((receipt, spec) => window.check(receipt, spec), receipt, devnet.spec);
        for (const { maker, txid, height, forms } of receipts) {
          for (const form of forms) {
            const { code, ...proved } = await check(form);
            assert.deepEqual([code, proved.txid, proved.height], [undefined, txid, height], `made in ${maker}`);
          }
          const [, text] = forms;
          const half = text.length >> 1;
          const damaged = text.slice(0, half) + (text[half] === "Q" ? "P" : "Q") + text.slice(half + 1);
          assert.match((await check(damaged)).code, /^receipt/, "a letter changed");
        }
      }));
  }
});
