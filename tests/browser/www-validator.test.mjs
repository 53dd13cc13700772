// A link and one click make a tab of the app a validator whose votes real nodes count; under the policy that a node sends, with
// more relays than the one that serves the page; and when it leaves, the nodes go on.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { faults, press, see, watchFaults } from "./rig/app.mjs";
import { BROWSERS, launch, shot, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { eventually } from "./rig/validators.mjs";
import { build } from "./www-server.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));

let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "timecoin-www-validator-"));
  await build(join(root, "www"), ["--outDir", folder, "--emptyOutDir"]);
});
after(() => rm(folder, { recursive: true, force: true }));

// Most of the time is waited for: all browsers at once, each with a devnet of its own.
describe("a validator by a link", { concurrency: true }, () => {
  for (const name of BROWSERS) describe(name, { concurrency: 1 }, () => linkTests(name));
});

function linkTests(name) {
  let devnet;
  let browser;
  let page;
  before(async () => {
    devnet = await startDevnet({ validators: 3, browsers: 1, web: folder });
    browser = await launch(name);
    page = await browser.open("about:blank");
  });
  after(async () => {
    await browser?.close();
    await devnet?.close();
  });

  const tabs = async (at = 0) => (await devnet.rpc("masternodelist", {}, at)).masternodes.filter((masternode) => masternode.class === "Browser");

  test("it waits for its tab, and the nodes do not", async () => {
    assert.equal(devnet.links.length, 1);
    const [tab] = await tabs();
    assert.deepEqual([tab.status, tab.signed_this_epoch], ["active", 0]);
    const from = await devnet.rpc("getblockcount");
    await eventually(async () => (await devnet.rpc("getblockcount")) >= from + 3, () => "three blocks more");
  });

  test("the link and one click", async () => {
    const [link] = devnet.links;
    await page.goto(link);
    await watchFaults(page);
    await see(page, "used in this tab only");
    assert.equal(await page.evaluate(() => location.hash), "#/validator", "the key is not left in the address");
    await press(page, "Start validating");
    await see(page, "This tab validates");
    // Every node counts this from the certificates in the blocks.
    await eventually(async () => (await tabs(1))[0].signed_this_epoch > 0, () => "its vote in a certificate");
    await until(page, () => document.querySelector("#duty")?.parentElement.innerText.includes("voting"));
    const relays = await until(page, () => {
      const rows = [...document.querySelectorAll("[aria-labelledby=relays] tbody tr")].map((row) => row.innerText);
      return rows.length === 3 && rows.some((row) => /\d ms/.test(row)) && rows;
    });
    assert.ok(devnet.peers.every((peer) => relays.some((row) => row.includes(peer))), "the nodes that the chain spec names");
    await see(page, "from the link, in this tab only");
    await page.screenshot(await shot(name, "www-validator"));
    assert.deepEqual(await faults(page), [], "policy, and what nobody caught");
  });

  test("it leaves, and the nodes go on", async () => {
    await press(page, "Leave safely");
    await see(page, "This tab has left");
    const locks = await page.evaluate(async () => (await navigator.locks.query()).held.map(({ name }) => name));
    assert.ok(!locks.some((lock) => lock.startsWith("timecoin operator")), `${locks}`);
    const { last_signed } = (await tabs())[0];
    const from = await devnet.rpc("getblockcount");
    await eventually(async () => (await devnet.rpc("getblockcount")) >= from + 3, () => "three blocks more");
    assert.ok((await tabs())[0].last_signed <= Math.max(last_signed, from + 1), "it signs no more");
  });
}
