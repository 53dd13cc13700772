// The README's example of a light node, pasted into a page as it stands, against a real devnet.

import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { PACKAGE } from "./rig/node-page.mjs";
import { serve } from "./rig/server.mjs";

const README = fileURLToPath(new URL("../../web/README.md", import.meta.url));
const PEER = "ws://127.0.0.1:24201/p2p";
/** A page without a bundler names the package in an import map, which stands in the page. */
const POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; connect-src 'self' ws:";

let devnet;
let folder;
let server;
before(async () => {
  const [, example] = /## A light node\n\n```js\n([^]*?)```/.exec(await readFile(README, "utf8"));
  assert.ok(example.trim().split("\n").length <= 10, "ten lines");
  assert.ok(example.includes(PEER), "the first node of a devnet");
  devnet = await startDevnet();
  folder = await mkdtemp(join(tmpdir(), "timecoin-readme-"));
  const imports = JSON.stringify({ imports: { timecoin: "/timecoin/index.js" } });
  const script = example.replace(PEER, devnet.peers[0]);
  await writeFile(join(folder, "index.html"), `<!doctype html><title>README</title><script type="importmap">${imports}</script><body></body><script type="module">${script}</script>`);
  await writeFile(join(folder, "spec.json"), devnet.spec);
  server = await serve({ "/": folder, "/timecoin/": PACKAGE }, POLICY);
});
after(async () => {
  await server?.close();
  await devnet?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

inEachBrowser((name) => {
  let browser;
  before(async () => {
    browser = await launch(name);
  });
  after(() => browser?.close());

  test("the example of a light node runs as pasted", async () => {
    const page = await browser.open(`${server.url}/index.html`);
    const line = /^block (\d+) of ([\d.]+) TIME, \d+ ms old, signed by (\d+) of (\d+) weight$/;
    const text = await until(page, (height) => (Number(/^block (\d+)/.exec(document.body.textContent)?.[1]) > height ? document.body.textContent : null), 1);
    const [, height, supply, signed, total] = line.exec(text) ?? assert.fail(text);
    assert.equal((await devnet.rpc("getblock", { block: Number(height) })).supply, supply);
    assert.ok(Number(signed) * 3 > Number(total) * 2, text);
  });
});
