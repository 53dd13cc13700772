// A validator in a page whose memory of what it signed is not what it should be: an old copy of the profile, the same key in two
// profiles, a database that is deleted or full. It is silent as long as it must be, says so, and never contradicts itself.

import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, launch } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { eventually, openValidator, startRelays, startValidator, statusOf, votes } from "./rig/validators.mjs";

/** Twice as long as it takes to listen for the own key. */
const LISTEN_MS = 40_000;

describe("validators and their memory", { skip: BROWSERS.includes("chromium") ? false : "Chromium alone lets a test do this" }, () => {
  let devnet;
  let server;
  let relays;
  let folder;
  let options;
  /** The page that validates. */
  let running;
  /** Browsers that run, by profile. */
  const browsers = new Map();
  before(async () => {
    [devnet, server] = await Promise.all([startDevnet({ validators: 4, rate: 2 }), serveNode()]);
    relays = await startRelays(devnet, [0, 1]);
    folder = await mkdtemp(join(tmpdir(), "timecoin-memory-"));
    devnet.kill(3);
    options = { spec: devnet.spec, peers: relays.urls, operatorKey: await devnet.operatorKey(3) };
  });
  after(async () => {
    for (const browser of browsers.values()) await browser.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    await relays?.close();
    await server?.close();
    await devnet?.close();
  });

  /** A page of a profile that validates. */
  async function begin(profile) {
    const browser = await launch("chromium", { profile: join(folder, profile) });
    browsers.set(profile, browser);
    const page = await openValidator(browser, server);
    await startValidator(page, options);
    return { browser, page };
  }
  async function finish(profile) {
    await browsers.get(profile).close();
    browsers.delete(profile);
  }
  const tell = (page) => async () => JSON.stringify(await statusOf(page));
  /** Everything the page was told from now on. */
  const follow = (page) =>
    page.evaluate(() => {
      window.told = [];
      void (async () => {
        for await (const status of window.validator.changes()) window.told.push(status);
      })();
    });

  test("an old copy of the profile is noticed: it is silent, says why, and comes back", async () => {
    const { page } = await begin("first");
    await votes(page);
    await finish("first");
    await cp(join(folder, "first"), join(folder, "copy"), { recursive: true });
    const again = await begin("first");
    await votes(again.page);
    await eventually(async () => (await statusOf(again.page)).votes_signed >= 20, tell(again.page));
    await finish("first");
    running = await begin("copy");
    const { page: old } = running;
    await follow(old);
    await votes(old);
    const told = await old.evaluate(() => window.told);
    const silent = told.filter(({ quarantine }) => quarantine !== null);
    console.log(`an old copy: ${JSON.stringify(silent.at(0)?.quarantine)}`);
    assert.ok(silent.length > 0, "it was in quarantine");
    assert.ok(silent.every(({ votes_signed }) => votes_signed === 0), "and signed nothing in it");
    await relays.check();
  });

  test("the same key in another profile hears of the first, and never signs", async () => {
    const { votes_signed: before } = await statusOf(running.page);
    const { page } = await begin("other");
    await follow(page);
    await sleep(LISTEN_MS);
    const { height, quarantine, votes_signed, elsewhere } = await statusOf(page);
    assert.equal(votes_signed, 0);
    assert.ok(elsewhere !== null && elsewhere <= height + 1, `and says so: ${elsewhere}`);
    assert.ok(quarantine !== null && height > quarantine.until + 5, `silent for good, not for a while: ${height} ${JSON.stringify(quarantine)}`);
    await finish("other");
    assert.ok((await statusOf(running.page)).votes_signed > before, "the first goes on");
    await relays.check();
  });

  test("a database that is deleted meanwhile ends in silence, which the page sees, and not in a second vote", async () => {
    const { browser, page } = running;
    await browser.clearSite(server.url);
    await eventually(async () => (await statusOf(page)).quarantine?.reason === "memory_missing", tell(page));
    assert.equal((await statusOf(page)).votes_signed, 0);
    assert.equal(await page.evaluate(() => window.validator.restarts), 1);
    await votes(page);
    await relays.check();
  });

  test("a full database lets no vote out, and the page is told", async () => {
    const { browser, page } = running;
    await browser.limitStorage(server.url, 1);
    await eventually(async () => (await statusOf(page)).stage.kind === "failed", tell(page));
    const { stage } = await statusOf(page);
    console.log(`a full database: ${JSON.stringify(stage)}, after ${await page.evaluate(() => window.validator.restarts)} restarts`);
    assert.equal(stage.code, "store-quota");
    const before = await relays.votes();
    await sleep(3_000);
    assert.equal((await relays.votes()).length, before.length, "silence");
    await browser.limitStorage(server.url, null);
    await startValidator(page, options);
    await votes(page);
    await relays.check();
  });
});
