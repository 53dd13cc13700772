// The IndexedDB store in real browsers: the suite every store passes, and what browsers do to databases.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { MODULE, PAGES, serve } from "./rig/server.mjs";

inEachBrowser((name) => {
  let server;
  let browser;
  let page;
  before(async () => {
    server = await serve({ "/": PAGES, "/module/": MODULE });
    browser = await launch(name);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });
  beforeEach(async () => {
    page = await browser.open(`${server.url}/worker.html?worker=/store-worker.js`);
    await until(page, () => typeof window.call === "function");
  });
  afterEach(() => page.close());

  const call = (...given) => page.evaluate((...all) => window.call(...all), ...given);
  const outcome = (...given) => page.evaluate((...all) => window.outcome(window.call(...all)), ...given);

  test("passes the conformance suite", async () => {
    assert.deepEqual(await outcome("conformance", "conformance"), { value: null });
  });

  test("a broken rule would be noticed", async () => {
    await call("open", "left over");
    await call("put", "left over", ["key"], "1", false);
    await call("close", "left over");
    const { name, message } = await outcome("conformance", "left over");
    assert.equal(name, "Trap");
    assert.match(message, /a new store is empty/);
  });

  test("rows survive the Worker and the page", async () => {
    await call("open", "kept");
    await call("put", "kept", ["a", "b"], "1", true);
    await page.evaluate(() => {
      window.killWorker();
      window.startWorker();
    });
    await call("open", "kept");
    assert.equal(await call("load", "kept", "a"), "1");
    await page.goto(`${server.url}/worker.html?worker=/store-worker.js`);
    await until(page, () => typeof window.call === "function");
    await call("open", "kept");
    assert.deepEqual(await call("values", "kept"), ["1", "1"]);
  });

  test("asks for strict durability where the batch must be on disk, and only there", async () => {
    await call("watchDurability");
    await call("open", "durable");
    await call("put", "durable", ["a"], "1", true);
    await call("put", "durable", ["a"], "2", false);
    assert.deepEqual(await call("durabilities"), ["strict", "relaxed"]);
  });

  // WebKitGTK 2.50 goes on holding the tables of a transaction whose Worker was terminated between its requests and its
  // commit, until the browser ends: whoever ends a Worker there asks it to stop first.
  if (name !== "webkit") {
    test("a Worker killed while it writes leaves whole batches only", async () => {
      const keys = Array.from({ length: 500 }, (_, at) => `key ${at}`);
      for (let round = 0; round < 4; round += 1) {
        await call("open", "torn");
        await page.evaluate(
          async (keys, round) => {
            const writing = (async () => {
              for (let batch = 0; ; batch += 1) await window.call("put", "torn", keys, `${round}.${batch}`, batch % 2 === 0);
            })().catch((error) => error.name);
            await new Promise((resolve) => setTimeout(resolve, 150 + 70 * round));
            window.killWorker();
            if ((await writing) !== "Killed") throw new Error(await writing);
            window.startWorker();
          },
          keys,
          round,
        );
        await call("open", "torn");
        const values = await call("values", "torn");
        assert.equal(values.length, keys.length);
        assert.equal(new Set(values).size, 1, "rows of one batch");
      }
    });
  }

  test("a lost connection is opened again, for reading and for writing", async () => {
    await call("open", "lost");
    await call("put", "lost", ["a"], "1", false);
    await call("loseConnections");
    assert.equal(await call("load", "lost", "a"), "1");
    await call("loseConnections");
    await call("put", "lost", ["a"], "2", true);
    assert.deepEqual(await call("values", "lost"), ["2"]);
    assert.equal(await call("connections"), 1, "opened anew once");
  });

  test("calls beside each other share the connection opened anew", async () => {
    await call("open", "beside");
    await call("put", "beside", ["a"], "1", false);
    await call("loseConnections");
    const read = await page.evaluate(() =>
      Promise.all(Array.from({ length: 20 }, () => window.call("load", "beside", "a"))),
    );
    assert.deepEqual(new Set(read), new Set(["1"]));
    assert.equal(await call("connections"), 1);
  });

  test("a store deleted under its user says so, for good", async () => {
    await call("open", "deleted");
    await call("put", "deleted", ["a"], "1", true);
    await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.deleteDatabase("deleted");
          request.onsuccess = () => resolve();
          request.onerror = () => reject(request.error);
        }),
    );
    for (let time = 0; time < 2; time += 1) {
      assert.equal((await outcome("load", "deleted", "a")).name, "store-deleted");
      assert.equal((await outcome("put", "deleted", ["a"], "2", true)).name, "store-deleted");
    }
    await call("close", "deleted");
    await call("open", "deleted");
    assert.deepEqual(await call("values", "deleted"), []);
  });

  test("a store of a newer program is left alone", async () => {
    await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open("newer", 99);
          request.onsuccess = () => resolve(request.result.close());
          request.onerror = () => reject(request.error);
        }),
    );
    assert.equal((await outcome("open", "newer")).name, "store-newer");
  });

  test("an upgrade waits for nobody: it says that another tab is in the way", async () => {
    await call("open", "blocked");
    await call("close", "blocked");
    await page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open("blocked");
          request.onsuccess = () => resolve(void (window.held = request.result));
          request.onerror = () => reject(request.error);
        }),
    );
    assert.equal((await outcome("open", "blocked", 2)).name, "store-blocked");
    await page.evaluate(() => window.held.close());
    assert.deepEqual(await outcome("open", "blocked", 2), { value: null });
    assert.equal((await outcome("open", "blocked")).name, "store-newer", "the older program stays out");
  });

  test("an older tab gives way to an upgrade", async () => {
    await call("open", "older");
    await call("put", "older", ["a"], "1", true);
    const other = await browser.open(`${server.url}/worker.html?worker=/store-worker.js`);
    await until(other, () => typeof window.call === "function");
    assert.deepEqual(await other.evaluate(() => window.outcome(window.call("open", "older", 2))), { value: null });
    assert.equal(await other.evaluate(() => window.call("load", "older", "a")), "1", "rows are kept");
    assert.equal((await outcome("load", "older", "a")).name, "store-newer");
    await other.close();
  });

  test("a full disk and a page without storage are told apart", async () => {
    await call("open", "full");
    await call("put", "full", ["a"], "1", false);
    await call("fillDisk");
    assert.equal((await outcome("put", "full", ["a"], "2", true)).name, "store-quota");
    assert.equal(await call("load", "full", "a"), "1", "reading goes on, and nothing was written");
    await call("forbid");
    assert.equal((await outcome("open", "forbidden")).name, "store-unavailable");
  });

  if (name === "chromium") {
    test("a quota the browser itself enforces", async () => {
      // An origin of its own: the browser remembers for a while how much space another one had.
      const elsewhere = await serve({ "/": PAGES, "/module/": MODULE });
      await browser.limitStorage(elsewhere.url, 1_000_000);
      try {
        await page.goto(`${elsewhere.url}/worker.html?worker=/store-worker.js`);
        await until(page, () => typeof window.call === "function");
        await call("open", "limited");
        // Random, because what compresses well takes little room.
        const large = randomBytes(2_000_000).toString("hex");
        assert.equal((await outcome("put", "limited", ["a"], large, true)).name, "store-quota");
        assert.deepEqual(await call("values", "limited"), []);
      } finally {
        await browser.limitStorage(elsewhere.url, null);
        await elsewhere.close();
      }
    });
  }
});
