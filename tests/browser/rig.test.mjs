// The rig itself: that each browser really runs, is told apart, keeps tabs apart, and is gone afterwards.

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, shot, until } from "./rig/browsers.mjs";
import { consistent } from "./rig/relay.mjs";
import { PAGES, serve } from "./rig/server.mjs";

const ENGINES = { chromium: /Chrome\//, firefox: /Gecko\/.*Firefox\//, webkit: /AppleWebKit\/.*(?<!Chrome.*)Safari\// };

inEachBrowser((name) => {
  let server;
  let browser;
  before(async () => {
    server = await serve({ "/": PAGES });
    browser = await launch(name);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test("evaluates functions with arguments, promises and errors", async () => {
    const page = await browser.open(`${server.url}/blank.html`);
    assert.match(await page.evaluate(() => navigator.userAgent), ENGINES[name]);
    assert.equal(await page.evaluate((a, b) => Promise.resolve(a + b), "x", "y"), "xy");
    assert.deepEqual(await page.evaluate((given) => given, { list: [1, null, "é"] }), { list: [1, null, "é"] });
    assert.equal(await page.evaluate(() => undefined), undefined);
    await assert.rejects(page.evaluate(() => { throw new Error("as told"); }), /as told/);
    await page.close();
  });

  test("keeps tabs apart and shows them", async () => {
    const [first, second] = [await browser.open(`${server.url}/blank.html`), await browser.open(`${server.url}/blank.html`)];
    await first.evaluate(() => void (document.title = "first"));
    await second.evaluate(() => void (document.title = "second"));
    assert.equal(await first.evaluate(() => document.title), "first");
    assert.equal(await second.evaluate(() => document.title), "second");
    const file = await shot(name, "rig");
    await first.screenshot(file);
    assert.ok((await stat(file)).size > 1_000, "a picture");
    await second.close();
    await first.close();
  });

  test("runs module Workers under the app's policy, which stops what it should", async () => {
    const page = await browser.open(`${server.url}/blank.html`);
    await page.evaluate(() => {
      const worker = new Worker("/echo.js", { type: "module" });
      worker.onmessage = ({ data }) => (window.heard = data);
      worker.postMessage("hello");
    });
    assert.equal(await until(page, () => window.heard), "hello");
    const blocked = await page.evaluate(
      () =>
        new Promise((resolve) => {
          document.addEventListener("securitypolicyviolation", (event) => resolve(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.intruder = true";
          document.body.append(script);
        }),
    );
    assert.match(blocked, /^script-src/);
    assert.equal(await page.evaluate(() => window.intruder), undefined);
    await page.close();
  });
});

test("a vote that contradicts another one is found among those that relays wrote down", () => {
  const vote = { operator: "a", height: 7, view: 0, phase: "Prepare", block: "b", valid_view: null, signature: "s" };
  const others = [{ ...vote, operator: "c" }, { ...vote, height: 8 }, { ...vote, view: 1 }, { ...vote, phase: "Commit" }];
  assert.equal(consistent([vote, ...others, vote]).length, 5, "the same vote again is the same vote");
  for (const change of [{ block: null }, { valid_view: 0 }, { signature: "t" }]) {
    assert.throws(() => consistent([vote, ...others, { ...vote, ...change }]), /signed twice/);
  }
  assert.throws(() => consistent([{ ...vote, operator: null }]), /no operator/);
});
