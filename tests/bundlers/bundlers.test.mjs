// The npm package as its users have it: packed, installed, bundled without configuration, run in Chromium under a strict
// policy. `cargo xtask web` makes the package.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { launch, until } from "../browser/rig/browsers.mjs";
import { serve } from "../browser/rig/server.mjs";

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
const root = fileURLToPath(new URL("../../", import.meta.url));
const output = process.env.TIMECOIN_BUNDLERS ?? `${root}target/bundlers`;
const run = promisify(execFile);
const npm = (folder, ...parameters) => run("npm", [...parameters, "--no-audit", "--no-fund"], { cwd: folder });

// A receipt of the golden vectors, as a person would get it.
const { cases } = JSON.parse(await readFile(`${root}tests/vectors/receipts.json`, "utf8"));
const { line, answer } = cases.find(({ command }) => command === "verify-receipt");
/** A payload of the package: its bytes and their hash. */
async function payloadOf(name) {
  const bytes = await readFile(`${root}web/dist/${name}_bg.wasm`);
  return { bytes, facts: [createHash("sha256").update(bytes).digest("hex"), bytes.length] };
}
const verifier = await payloadOf("timecoin_verifier");
const light = await payloadOf("timecoin_web");
const full = await payloadOf("timecoin_validator");
const published = [verifier, light, full];

let browser;
before(async () => {
  await rm(output, { recursive: true, force: true });
  await mkdir(output, { recursive: true });
  const { stdout } = await npm(`${root}web`, "pack", "--json", "--pack-destination", output);
  const [{ filename }] = JSON.parse(stdout);
  await cp(`${output}/${filename}`, `${output}/timecoin.tgz`);
  browser = await launch("chromium");
});
after(() => browser?.close());

/** A copy of a project, with the package installed from its tarball and the bundlers of `www/` at hand. */
async function project(name, from) {
  const folder = `${output}/${name}`;
  await cp(`${root}tests/bundlers/${from}`, folder, { recursive: true });
  await cp(`${root}tests/bundlers/main.js`, `${folder}/main.js`);
  await npm(folder, "install", "--offline");
  for (const tool of [".bin", "vite", "webpack", "esbuild"]) {
    await symlink(`${root}www/node_modules/${tool}`, `${folder}/node_modules/${tool}`);
  }
  return folder;
}

/** Every file below a folder, with its bytes. */
async function files(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = entries.filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath}/${entry.name}`);
  return Promise.all(found.map(async (name) => ({ name, bytes: await readFile(name) })));
}

/** The page's text once it has one; fails on any violation of the policy, and on whatever the page complains of. */
async function visit(folder) {
  // Browsers ask for it; a missing one would be a complaint.
  await writeFile(`${folder}/favicon.ico`, "");
  const server = await serve({ "/": folder }, POLICY);
  try {
    const page = await browser.open("about:blank");
    await page.goto(`${server.url}/index.html`);
    const text = await until(page, () => document.body?.textContent.trim());
    const complaints = page.log().filter((line) => /^(error|warning|uncaught)/.test(line));
    await page.close();
    assert.deepEqual(complaints, []);
    return text;
  } finally {
    await server.close();
  }
}

for (const [name, served] of [["vite", "dist"], ["webpack", ""], ["esbuild", ""]]) {
  test(`${name} builds it untouched, with each payload once, and it runs under a strict policy`, async () => {
    const folder = await project(name, name);
    await npm(folder, "run", "build");
    const built = await files(`${folder}/dist`);
    const payloads = built.filter(({ bytes }) => bytes.subarray(0, 4).toString("latin1") === "\0asm");
    const sizes = payloads.map(({ bytes }) => bytes.length).sort((one, two) => one - two);
    const expected = published.map(({ bytes }) => bytes.length).sort((one, two) => one - two);
    assert.deepEqual(sizes, expected, "each payload once");
    for (const { bytes } of published) assert.ok(payloads.some((built) => built.bytes.equals(bytes)), "as it was published");
    for (const { name, bytes } of built.filter(({ name }) => name.endsWith(".js"))) {
      assert.ok(!bytes.includes("AGFzbQ"), `${name} carries no payload in base64`);
    }
    const page = `${folder}/${served}`;
    await writeFile(`${page}/receipt.json`, line);
    const { proved, refused, build, node, validator } = JSON.parse(await visit(page));
    const { txid, height, outputs } = JSON.parse(answer);
    assert.deepEqual([proved.txid, proved.height, proved.outputs], [txid, height, outputs]);
    assert.equal(refused, "receipt-damaged");
    assert.deepEqual([build.wasm_sha256, build.bytes], verifier.facts);
    assert.deepEqual([node.build.wasm_sha256, node.build.bytes], light.facts);
    assert.deepEqual([validator.build.wasm_sha256, validator.build.bytes], full.facts);
    assert.deepEqual([validator.stage, validator.member, validator.stopped], ["running", false, "stopped"]);
    assert.deepEqual([node.address, node.info.leader, node.info.tabs, node.info.restarts], ["bad_address", true, 1, 0]);
    assert.deepEqual(node.probe, { ok: true, missing: [], limited: [] });
  });
}

test("the example of the README runs as pasted", async () => {
  const readme = await readFile(`${root}web/README.md`, "utf8");
  const [, example] = /## Checking a receipt\n\n```js\n([^]*?)```/.exec(readme);
  assert.ok(example.trim().split("\n").length <= 10, "ten lines");
  const folder = await project("readme", "vite");
  await writeFile(`${folder}/main.js`, example);
  await npm(folder, "run", "build");
  const { receipt, spec, now } = JSON.parse(line);
  await writeFile(`${folder}/dist/spec.json`, JSON.stringify(spec));
  await writeFile(`${folder}/dist/receipt.txt`, receipt);
  // The vectors are years old; what is pasted must not vouch for that.
  await writeFile(`${folder}/dist/clock.js`, `Date.now = () => ${now};`);
  const html = await readFile(`${folder}/dist/index.html`, "utf8");
  await writeFile(`${folder}/dist/index.html`, html.replace("<title>", '<script src="clock.js"></script><title>'));
  const { txid } = JSON.parse(answer);
  const text = await visit(`${folder}/dist`);
  assert.ok(text.includes(txid), text);
});

test("the package is modules, types and payloads, and runs nothing when installed or imported", async () => {
  const manifest = JSON.parse(await readFile(`${output}/vite/node_modules/timecoin/package.json`, "utf8"));
  assert.equal(manifest.scripts, undefined);
  assert.equal(manifest.dependencies, undefined);
  assert.equal(manifest.sideEffects, false);
  const packed = await files(`${output}/vite/node_modules/timecoin`);
  const strangers = packed.map(({ name }) => name).filter((name) => !/\.(d\.ts|js|wasm)$|\/(package\.json|README\.md)$/.test(name));
  assert.deepEqual(strangers, []);
  for (const target of Object.values(manifest.exports).flatMap(Object.values)) {
    assert.ok(packed.some(({ name }) => name.endsWith(target.slice(1))), `${target} is there`);
  }
  // Under Node there is no `window` to disturb; whatever an import would start would fail or be seen here.
  const known = Object.keys(globalThis);
  for (const entry of ["verifier", "validator", "index"]) await import(`${output}/vite/node_modules/timecoin/dist/${entry}.js`);
  assert.deepEqual(Object.keys(globalThis), known);
});
