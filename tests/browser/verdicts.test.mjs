// Good and bad blocks of a recorded chain, judged in pages: what they say of each is what the native node says, word for word.
// `cargo xtask browsers` makes the recording (`tests/src/bin/trace.rs`); what is in it is looked at by `tests/wasm/verdicts.test.mjs`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { MODULE, PAGES, serve } from "./rig/server.mjs";

const TRACE = process.env.TIMECOIN_TRACE ?? fileURLToPath(new URL("../../target/trace/", import.meta.url));

inEachBrowser((name) => {
  let server;
  let browser;
  before(async () => {
    server = await serve({ "/": PAGES, "/module/": MODULE, "/trace/": TRACE });
    browser = await launch(name);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test("of every block, good and bad, with its coins or with a proof, a page says what the native node says", async () => {
    const native = await readFile(join(TRACE, "verdicts.txt"), "utf8");
    const page = await browser.open(`${server.url}/worker.html?worker=/verdicts-worker.js`);
    await until(page, () => typeof window.call === "function");
    const judged = await page.evaluate(() => window.call("judge"));
    assert.ok(native.split("\n").length > 1_000);
    assert.deepEqual(judged.split("\n"), native.split("\n"));
  });
});
