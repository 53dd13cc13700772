// What the light node costs a page: its files, its starts, its main thread, what a lost tab costs the others, its
// signatures, and a million heights.

import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { launch, until } from "../browser/rig/browsers.mjs";
import { startDevnet } from "../browser/rig/devnet.mjs";
import { startEpochs } from "../browser/rig/liar.mjs";
import { call, openNode, serveNode, startNode } from "../browser/rig/node-page.mjs";
import { brotli, dist, median, RUNS, root } from "./figures.mjs";

/** Changed validators per epoch, of 100. */
const REPLACED = [0, 1, 5];
const EPOCHS = 700;
const HEIGHT = 1_000_000;
const TURNS = 50;
/** A browser is busy with itself for so long when it starts, and longer with a profile that it had before. */
const SETTLED_MS = 2_500;

/** The figures: `{ name, what, value, unit, gate, beside }`. */
export async function node() {
  return [...(await sizes()), ...(await starts()), ...(await failover()), ...(await signatures()), ...(await heights())];
}

/** What a page with the light node loads: its module and all scripts, each as a server sends it. */
async function sizes() {
  const names = await readdir(dist, { recursive: true });
  const loaded = names.filter((name) => name.endsWith("timecoin_web_bg.wasm") || (name.endsWith(".js") && !/verifier|validator/.test(name)));
  const files = await Promise.all(loaded.map((name) => readFile(join(dist, name))));
  const total = files.map(brotli).reduce((one, other) => one + other, 0);
  const wasm = files.find((bytes) => bytes.subarray(0, 4).toString("latin1") === "\0asm");
  return [
    { name: "node_brotli_bytes", what: "light node, module and scripts, brotli", value: total, unit: "bytes", gate: 450_000, beside: "smoldot 2.37 MB, helios 1.15 MB, lumina 1.43 MB, Nimiq 3.1 MB" },
    { name: "node_wasm_bytes", what: "light node, module, raw", value: wasm.length, unit: "bytes" },
  ];
}

/** First starts with nothing stored, then starts of a fresh browser that goes on from the store. */
async function starts() {
  const devnet = await startDevnet({ validators: 1, rate: 2 });
  const server = await serveNode();
  const options = { spec: devnet.spec, peers: [devnet.peers[0]], store: "measured" };
  const took = { cold: [], first: [], warm: [], task: [] };
  for (let run = 0; run < RUNS; run += 1) {
    const profile = await mkdtemp(join(tmpdir(), "timecoin-measure-"));
    let browser = await launch("chromium", { profile });
    const cold = await start(browser, server, options);
    took.cold.push(cold.verified);
    await browser.close();
    browser = await launch("chromium", { profile });
    const warm = await start(browser, server, options, devnet.demo);
    took.first.push(warm.first);
    took.warm.push(warm.verified);
    took.task.push(Math.max(cold.task, warm.task));
    await browser.close();
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
  await server.close();
  await devnet.close();
  return [
    { name: "node_first_answer_ms", what: "import to first answer, from the store", value: median(took.first), unit: "ms", gate: 250, beside: "smoldot 365–628 ms, helios 875–1283 ms, lumina 305–389 ms" },
    { name: "node_warm_start_ms", what: "import to verified head, warm, one peer", value: median(took.warm), unit: "ms", gate: 1_000, beside: "" },
    { name: "node_cold_start_ms", what: "import to verified head, nothing stored", value: median(took.cold), unit: "ms", beside: "" },
    { name: "node_longest_task_ms", what: "longest task of the main thread", value: Math.max(...took.task), unit: "ms", gate: 50, beside: "helios 474 ms" },
  ];
}

/** Starts a node in a new page; milliseconds from the import on. */
async function start(browser, server, options, address = null) {
  const page = await browser.open(`${server.url}/blank.html`);
  await sleep(SETTLED_MS);
  await page.evaluate(begin, options, address);
  const took = await until(page, () => window.took ?? (window.failure === undefined ? null : { failure: window.failure }));
  if (took.failure !== undefined) throw new Error(took.failure);
  await page.close();
  return took;
}

/** In the page. The longest task is looked for until a second after the head is verified. */
function begin(options, address) {
  // The browser lists tasks from 50 ms on; what delays a timer tells of shorter ones.
  let task = 0;
  let last = performance.now();
  setInterval(() => {
    task = Math.max(task, performance.now() - last - 4);
    last = performance.now();
  }, 4);
  new PerformanceObserver((list) => list.getEntries().forEach(({ duration }) => (task = Math.max(task, duration)))).observe({ type: "longtask", buffered: true });
  const run = async () => {
    const begun = performance.now();
    const { connect } = await import("/timecoin/index.js");
    const node = await connect(options);
    await node.head();
    const first = performance.now() - begun;
    for await (const { kind } of node.state()) if (kind === "verified") break;
    const verified = performance.now() - begun;
    if (address !== null) await node.balance(address);
    setTimeout(() => (window.took = { first, verified, task }), 1_000);
  };
  run().catch((error) => (window.failure = String(error)));
}

/** How long the other tabs are without an answer when the tab with the node is closed. */
async function failover() {
  const devnet = await startDevnet({ validators: 1, rate: 2 });
  const server = await serveNode();
  const browser = await launch("chromium");
  const options = { spec: devnet.spec, peers: [devnet.peers[0]], store: "measured" };
  const pages = [];
  for (let tab = 0; tab <= RUNS; tab += 1) pages.push(await openNode(browser, server, options));
  const took = [];
  while (pages.length > 1) {
    const infos = await Promise.all(pages.map((page) => call(page, "info")));
    const [gone] = pages.splice(infos.findIndex(({ leader }) => leader), 1);
    const begun = Date.now();
    await gone.close();
    await call(pages[0], "balance", devnet.demo);
    took.push(Date.now() - begun);
  }
  await browser.close();
  await server.close();
  await devnet.close();
  return [{ name: "node_failover_ms", what: "tab with the node closed to verified balance in another", value: median(took), unit: "ms", gate: 1_000, beside: "" }];
}

/** A receipt with a certificate of 67 signatures, checked in a Worker: what a certificate costs, and a quarter more. */
async function signatures() {
  const { cases } = JSON.parse(await readFile(`${root}tests/vectors/receipts.json`, "utf8"));
  const { receipt, spec, now } = JSON.parse(cases.find(({ name }) => name === "signed by 67 of 100").line);
  const server = await serveNode();
  const took = [];
  for (let run = 0; run < RUNS; run += 1) {
    const browser = await launch("chromium");
    const page = await browser.open(`${server.url}/blank.html`);
    await page.evaluate(
      (given) => {
        const worker = new Worker("/measure-worker.js", { type: "module" });
        worker.onmessage = ({ data }) => (window.took = data);
        worker.onerror = ({ message }) => (window.took = message);
        worker.postMessage(given);
      },
      { receipt, options: { spec: JSON.stringify(spec), now }, turns: TURNS },
    );
    const answer = await until(page, () => window.took);
    if (typeof answer !== "number") throw new Error(answer);
    took.push(answer);
    await browser.close();
  }
  await server.close();
  return [{ name: "node_certificate_67_ms", what: "certificate of 67 signatures, in a Worker", value: median(took), unit: "ms", gate: 6, beside: "native, batch: 2.2 ms" }];
}

/** A million heights from genesis, as a page's Worker verifies them. */
async function heights() {
  const server = await serveNode();
  const browser = await launch("chromium");
  const figures = [];
  for (const replaced of REPLACED) {
    const peer = await startEpochs(replaced);
    // What the peer makes when it is asked first costs the second page nothing.
    for (const turn of ["making", "measured"]) {
      const page = await openNode(browser, server);
      const begun = await page.evaluate(() => performance.now());
      await startNode(page, { spec: peer.spec, peers: [peer.url], anyAge: true, store: `heights ${replaced} ${turn}` });
      const seen = await until(page, (height) => window.seen.heads?.find((head) => head.height === height), HEIGHT);
      await page.evaluate(() => window.node.close());
      await page.close();
      const { questions, bytes } = await sessionOf(peer, turn === "making" ? 1 : 2);
      if (turn === "making") continue;
      const { certificates_checked: checked } = seen.finality;
      const what = `a million heights, ${replaced} of 100 validators replaced per epoch`;
      figures.push(
        { name: `heights_${replaced}_ms`, what: `${what}: from genesis`, value: seen.seen_at - begun, unit: "ms" },
        { name: `heights_${replaced}_certificates`, what: `${what}: certificates checked`, value: checked, unit: "", gate: EPOCHS / 5, beside: "one per epoch: 700" },
        { name: `heights_${replaced}_bytes`, what: `${what}: bytes, ${questions} questions`, value: bytes, unit: "bytes" },
      );
    }
    await peer.close();
  }
  await browser.close();
  await server.close();
  return figures;
}

/** What passed in the peer's session of this number. */
async function sessionOf(peer, number) {
  for (;;) {
    const session = peer.sessions()[number - 1];
    if (session !== undefined) return session;
    await sleep(20);
  }
}
