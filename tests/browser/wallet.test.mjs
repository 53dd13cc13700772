// The wallet in every browser of the rig, over the package as it is published and a devnet of real processes. Three
// addresses of the app are three origins, so each has a wallet of its own, as on three people's machines.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";

import { balance, faults, fill, go, press, see, tick, watchFaults } from "./rig/app.mjs";
import { inEachBrowser, launch, shot, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { build, serve } from "./www-server.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const PASSWORD = "correct horse";

assert.ok(existsSync(join(root, "web", "dist", "index.js")), "the package is made by `cargo xtask web`");

let devnet;
let folder;
/** Browsers first, for servers wait for those whom they serve. */
const running = { browsers: [], servers: [] };
/** In each browser a wallet that nobody touches: the tests of the others go on meanwhile. */
const leftAlone = new Map();

describe("wallets", () => {
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "timecoin-wallet-"));
    await build(join(root, "www"), ["--outDir", folder, "--emptyOutDir"]);
    devnet = await startDevnet();
  });
  after(async () => {
    for (const one of [...running.browsers, ...running.servers]) await one.close();
    await devnet?.close();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
  });
  inEachBrowser(walletTests);
  inEachBrowser((name) => {
    test("the wallet that was left alone is locked, by the clock", async () => {
      const after = await until(leftAlone.get(name), () => window.lockedAfterMs);
      assert.ok(after > 58_000, `after ${after} ms`);
    });
  });
});

function walletTests(name) {
  let browser;
  let payer;
  let payee;
  let third;
  let gate;
  let address;
  let words;

  const site = async (options = {}) => {
    const server = await serve({ root, folder, at: "/app/", node: `127.0.0.1:${devnet.port}`, files: { "spec.json": devnet.spec }, ...options });
    running.servers.push(server);
    return server;
  };
  /** Opens the app's wallet; the faults of the page are collected. */
  const open = async (server, path = "#/wallet") => {
    const page = await browser.open(server.url + path);
    await until(page, () => document.querySelector("main h1") !== null);
    await watchFaults(page);
    return page;
  };
  const restore = async (page, given) => {
    await press(page, "Restore a wallet");
    await fill(page, "Words", given);
    await fill(page, "Password", PASSWORD);
    await fill(page, "Password again", PASSWORD);
    await press(page, "Restore");
  };
  const unlock = async (page) => {
    await see(page, "The wallet is locked");
    await fill(page, "Password", PASSWORD);
    await press(page, "Unlock");
    await see(page, "Last payments");
  };
  const proved = (page) => until(page, () => document.querySelector("[aria-label=Balance]")?.innerText.includes("verified, complete"));

  before(async () => {
    browser = await launch(name);
    running.browsers.push(browser);
    gate = { shut: false };
    payer = await site({ gate });
    payee = await site();
    third = await site();
  });

  test("a wrong password opens nothing, and the right one a wallet that is to lock itself after a minute", async () => {
    let page = await open(third);
    await restore(page, devnet.words);
    await proved(page);
    await page.close();
    page = await open(third);
    await see(page, "The wallet is locked");
    await fill(page, "Password", "incorrect horse");
    await press(page, "Unlock");
    await see(page, "Wrong password, or the stored keys are damaged.");
    await fill(page, "Lock it again after", "1");
    await fill(page, "Password", PASSWORD);
    await press(page, "Unlock");
    await see(page, "Last payments");
    await page.evaluate(() => {
      const begun = Date.now();
      const timer = setInterval(() => {
        if (!document.body.innerText.includes("The wallet is locked")) return;
        window.lockedAfterMs = Date.now() - begun;
        clearInterval(timer);
      }, 200);
    });
    leftAlone.set(name, page);
  });

  test("one page restores a wallet from its words and proves its balance", async () => {
    const page = await open(payer);
    await restore(page, devnet.words.toUpperCase().replaceAll(" ", "  "));
    await proved(page);
    assert.match(await balance(page), /TIME$/);
    await go(page, "#/wallet/history");
    await see(page, "Every payment from block 0 to");
    await page.screenshot(await shot(name, "wallet-restored"));
    assert.deepEqual(await faults(page), []);
    await page.close();
  });

  test("another one makes a wallet: words, backup check, an address to be paid at", async () => {
    const page = await open(payee);
    await press(page, "Create a wallet");
    await fill(page, "Password", PASSWORD);
    await fill(page, "Password again", PASSWORD);
    await press(page, "Create");
    words = await until(page, () => {
      const shown = [...document.querySelectorAll("ol .word")].map(({ innerText }) => innerText);
      return shown.length === 12 ? shown : null;
    });
    await press(page, "I have written them down");
    const asked = await until(page, () => {
      const labels = [...document.querySelectorAll("main label")].map(({ innerText }) => innerText.trim());
      return labels.length === 3 ? labels : null;
    });
    for (const label of asked) await fill(page, label, "zoo");
    await press(page, "Check");
    await see(page, "not the right one");
    for (const label of asked) await fill(page, label, ` ${words[Number(label.split(" ")[1]) - 1].toUpperCase()} `);
    await press(page, "Check");
    await proved(page);
    assert.equal(await balance(page), "0.00 TIME");
    assert.equal(await page.evaluate(() => document.body.innerText.includes("No checked backup")), false);
    await go(page, "#/wallet/receive");
    address = await until(page, () => document.querySelector("[aria-label=Address] .groups")?.getAttribute("aria-label"));
    assert.match(address, /^dtime1/);
    assert.deepEqual(await faults(page), []);
    await page.close();
  });

  test("the one pays the other: confirmed, followed through its phases, final, with a receipt", async () => {
    const page = await open(payer, `#/pay/${address}?amount=1.5&message=for%20tea`);
    await see(page, "A payment link was opened");
    await fill(page, "Password", PASSWORD);
    await press(page, "Unlock");
    await press(page, "Review");
    await see(page, "Send this?");
    await tick(page);
    await press(page, "Send");
    await see(page, "Paid, final after");
    const phases = await page.evaluate(() =>
      [...document.querySelectorAll('[aria-label="Phase of the payment"] li')].map(({ innerText }) => innerText.replaceAll("\n", " ")),
    );
    assert.equal(phases.length, 5);
    assert.match(phases[4], /Finalized.*\d/);
    await press(page, "QR code and link");
    await see(page, "Copy link");
    await page.screenshot(await shot(name, "wallet-paid"));
    assert.deepEqual(await faults(page), []);
    await page.close();
  });

  test("the other one has it: balance proved, history complete", async () => {
    const page = await open(payee);
    await unlock(page);
    await until(page, () => document.querySelector("[aria-label=Balance] .balance")?.innerText.trim() === "1.50 TIME");
    await proved(page);
    await go(page, "#/wallet/history");
    await see(page, "complete");
    await see(page, "Received");
    await see(page, "for tea");
    await page.screenshot(await shot(name, "wallet-received"));
    assert.deepEqual(await faults(page), []);
    await page.close();
  });

  test("a restart in the middle of a payment neither loses nor doubles it", async () => {
    // The browsers share the paying wallet: each knows its own payment by what is written on it.
    const memo = `once, by ${name}`;
    let page = await open(payer, `#/pay/${address}?amount=0.25&message=${encodeURIComponent(memo)}`);
    await fill(page, "Password", PASSWORD);
    await press(page, "Unlock");
    await press(page, "Review");
    await tick(page);
    // Nothing the page says reaches a peer any more.
    gate.shut = true;
    await press(page, "Send");
    await see(page, "Signing…");
    // Signed and on disk, but no peer has heard of it.
    await until(page, async () => {
      const name = (await indexedDB.databases()).map((one) => one.name).find((one) => one.endsWith(" wallet"));
      const asked = (request) => new Promise((resolve, reject) => Object.assign(request, { onsuccess: () => resolve(request.result), onerror: () => reject(request.error) }));
      const database = await asked(indexedDB.open(name));
      const payments = await asked(database.transaction("mempool").objectStore("mempool").getAll());
      database.close();
      return payments.length > 1;
    });
    await page.goto("about:blank");
    gate.shut = false;
    await page.close();
    // Nobody unlocks this wallet: the signed payment needs no keys.
    page = await open(payer);
    await see(page, "The wallet is locked");
    const other = await open(payee);
    await unlock(other);
    await until(other, () => document.querySelector("[aria-label=Balance] .balance")?.innerText.trim() === "1.75 TIME");
    await other.close();
    await unlock(page);
    const written = (memo) => [...document.querySelectorAll("[aria-label='Last payments'] li")].filter(({ innerText }) => innerText.includes(memo)).length;
    await until(page, written, memo);
    const sent = await page.evaluate(written, memo);
    assert.equal(sent, 1);
    await page.close();
  });

  test("forgetting takes the password, and the words bring everything back", async () => {
    const page = await open(payee);
    await unlock(page);
    await go(page, "#/wallet/settings");
    await fill(page, "Type “remove”", "remove");
    await until(page, () => document.querySelectorAll("main input[type=password]").length === 2);
    await page.evaluate((password) => {
      const field = [...document.querySelectorAll("main input[type=password]")].at(-1);
      field.value = password;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }, PASSWORD);
    await press(page, "Remove");
    await restore(page, words.join(" "));
    await until(page, () => document.querySelector("[aria-label=Balance] .balance")?.innerText.trim() === "1.75 TIME");
    await proved(page);
    await page.close();
  });
}
