// What a full validator costs a page: its files, a block of 1,000 payments against the same natively, and how long a proposal takes to
// become a vote.

import { execFile } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import { launch, until } from "../browser/rig/browsers.mjs";
import { startDevnet } from "../browser/rig/devnet.mjs";
import { serveNode } from "../browser/rig/node-page.mjs";
import { startRelay, votesOf } from "../browser/rig/relay.mjs";
import { openValidator, startValidator, statusOf, votes } from "../browser/rig/validators.mjs";
import { brotli, dist, median } from "./figures.mjs";

const PAYMENTS = 1_000;
const TURNS = 31;
/** So many proposals. */
const PROPOSALS = 200;
/** Coins of the chain that a page opens on. */
const COINS = 1_000_000;
/** Memory is looked at after so many blocks. */
const BLOCKS = [1_000, 10_000];
/** Payments a second, and so blocks. */
const RATE = 60;
/** Times what it was after the first of them. */
const GROWTH_MAX = 1.15;

/** The figures: `{ name, what, value, unit, gate, beside }`. */
export async function validator() {
  return [...(await sizes()), ...(await block()), ...(await latency()), ...(await memory()), ...(await joining())];
}

/** Whether a page has every coin in its store. */
const isWhole = async (page) => (await statusOf(page)).filled === null;

/** A page that knows nothing of a chain which waits for its vote: from navigation to that vote, and until it has every coin. */
async function joining() {
  const [devnet, server] = await Promise.all([startDevnet({ validators: 3, browsers: 1, rate: 0 }), serveNode()]);
  await devnet.coins(COINS);
  devnet.kill(2);
  const browser = await launch("chromium");
  const options = { spec: devnet.spec, peers: devnet.peers.slice(0, 2), operatorKey: await devnet.browserKey(0), unused: true };
  const paid = devnet.coins(1);
  const begun = performance.now();
  const page = await openValidator(browser, server);
  await page.evaluate((given) => window.start(given), options);
  await until(page, () => window.validator.status.votes_signed > 0);
  const voted = performance.now() - begun;
  await paid;
  while (!(await isWhole(page))) await devnet.coins(1);
  const whole = performance.now() - begun;
  await browser.close();
  await server.close();
  await devnet.close();
  return [
    { name: "validator_first_vote_ms", what: `opened on a chain of ${COINS} coins to the first vote`, value: voted, unit: "ms", gate: 5_000, beside: "" },
    { name: "validator_every_coin_ms", what: "the same, to every coin in its store", value: whole, unit: "ms", beside: "" },
  ];
}

/** What a page with the validator loads: its module and all scripts, each as a server sends it. */
async function sizes() {
  const names = await readdir(dist, { recursive: true });
  const scripts = /^(validator|validator-worker|error|probe|stream|supervisor|ending|words|codes|validator-keys|generated\/timecoin_validator)\.js$/;
  const loaded = names.filter((name) => name === "timecoin_validator_bg.wasm" || scripts.test(name));
  const files = await Promise.all(loaded.map((name) => readFile(join(dist, name))));
  const total = files.map(brotli).reduce((one, other) => one + other, 0);
  const wasm = files.find((bytes) => bytes.subarray(0, 4).toString("latin1") === "\0asm");
  return [
    { name: "validator_brotli_bytes", what: "validator, module and scripts, brotli", value: total, unit: "bytes", gate: 900_000, beside: "" },
    { name: "validator_wasm_bytes", what: "validator, module, raw", value: wasm.length, unit: "bytes", gate: 8_000_000, beside: "" },
  ];
}

/** The same block validated in a Worker and natively, one after the other. */
async function block() {
  const native = Number((await promisify(execFile)(process.env.TIMECOIN_SAMPLE)).stdout);
  const server = await serveNode({ "/measured/": process.env.TIMECOIN_MEASURED });
  const browser = await launch("chromium");
  const page = await browser.open(`${server.url}/blank.html`);
  await page.evaluate(
    (given) => {
      const worker = new Worker("/block-worker.js", { type: "module" });
      worker.onmessage = ({ data }) => (data === "ready" ? worker.postMessage(given) : (window.took = data));
      worker.onerror = ({ message }) => (window.took = message);
    },
    { payments: PAYMENTS, turns: TURNS },
  );
  const took = await until(page, () => window.took);
  await browser.close();
  await server.close();
  if (typeof took !== "number") throw new Error(took);
  return [
    { name: "validator_block_ms", what: `a block of ${PAYMENTS} payments, validated in a tab`, value: took, unit: "ms" },
    { name: "validator_block_native_ms", what: "the same natively, one thread", value: native, unit: "ms" },
    { name: "validator_block_ratio", what: "the tab against native", value: took / native, unit: "times" },
  ];
}

/** From a proposal that leaves a relay for the tab to the tab's Prepare for it that arrives there, with the write to disk between. */
async function latency() {
  const [devnet, server] = await Promise.all([startDevnet({ validators: 4, rate: 4 }), serveNode()]);
  const relay = await startRelay({ spec: devnet.spec, node: devnet.peers[0] });
  const browser = await launch("chromium");
  const page = await openValidator(browser, server);
  devnet.kill(3);
  const operator = await startValidator(page, { spec: devnet.spec, peers: [relay.url], operatorKey: await devnet.operatorKey(3) });
  await votes(page);
  const from = await devnet.rpc("getblockcount");
  while ((await devnet.rpc("getblockcount")) < from + PROPOSALS) await sleep(500);
  const shown = new Map((await relay.shown()).map(({ shown: { height, view }, at_us }) => [`${height} ${view}`, at_us]));
  const own = (await votesOf(operator, [relay])).filter(({ height, phase, block }) => height > from && phase === "Prepare" && block !== null);
  const took = own.flatMap(({ height, view, at_us }) => (shown.has(`${height} ${view}`) ? [(at_us - shown.get(`${height} ${view}`)) / 1_000] : []));
  await browser.close();
  await relay.close();
  await server.close();
  await devnet.close();
  const sorted = took.toSorted((a, b) => a - b);
  return [
    { name: "validator_vote_ms", what: `proposal shown to vote heard, median of ${took.length}`, value: median(took), unit: "ms" },
    { name: "validator_vote_p99_ms", what: "the same, 99 of 100", value: sorted[Math.floor(sorted.length * 0.99)], unit: "ms" },
  ];
}

/** What the browser's page holds after many blocks, each validated and stored as it came. */
async function memory() {
  const [devnet, server] = await Promise.all([startDevnet({ validators: 1, rate: RATE }), serveNode()]);
  const browser = await launch("chromium", { hides: true });
  const page = await openValidator(browser, server);
  // A key of nobody: it validates everything, and votes for nothing.
  await startValidator(page, { spec: devnet.spec, peers: [devnet.peers[0]], operatorKey: "07".repeat(32), unused: true });
  while (!(await isWhole(page))) await sleep(200);
  const { height: from } = await statusOf(page);
  const held = [];
  for (const blocks of BLOCKS) {
    while ((await statusOf(page)).height < from + blocks) await sleep(200);
    held.push(await browser.memory());
  }
  // One that lost touch would have begun anew with the state of peers.
  if (!(await isWhole(page)) || (await statusOf(page)).height - from > BLOCKS.at(-1) + 200) throw new Error("it did not validate every block");
  await browser.close();
  await server.close();
  await devnet.close();
  return [
    ...BLOCKS.map((blocks, at) => ({ name: `validator_memory_${blocks}_bytes`, what: `memory of the page after ${blocks} blocks`, value: held[at], unit: "bytes" })),
    { name: "validator_memory_growth", what: "the last against the first", value: held.at(-1) / held[0], unit: "times", gate: GROWTH_MAX },
  ];
}
