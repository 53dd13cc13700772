// What reached a node of a simulated network, replayed by the wasm build: after each step it wrote, sent and became what the native one
// did. `cargo xtask wasm` records the trace (`tests/src/bin/trace.rs`) and runs this file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const local = (path) => fileURLToPath(new URL(path, new URL("../../", import.meta.url)));
const wasm = createRequire(import.meta.url)(process.env.TIMECOIN_WASM ?? local("target/wasm-bindgen/nodejs/timecoin_web.js"));
const folder = process.env.TIMECOIN_TRACE ?? local("target/trace");

const trace = readFileSync(join(folder, "trace.bin"));
const steps = (lines) => lines.split("\n").slice(0, -1);

test("a recorded trace leaves the same hash after every step, natively and in wasm", async () => {
  const native = steps(readFileSync(join(folder, "trace.txt"), "utf8"));
  const replayed = steps(await wasm.replayTrace(trace));
  assert.ok(native.length > 1_000, `${native.length} steps`);
  assert.ok(Number(native.at(-1).split(" ")[0]) >= 100, native.at(-1));
  const at = native.findIndex((step, at) => step !== replayed[at]);
  assert.equal(at, -1, `step ${at}: natively ${native[at]}, in wasm ${replayed[at]}`);
  assert.equal(replayed.length, native.length);
});

test("the hashes tell a node with another key", async () => {
  const native = steps(readFileSync(join(folder, "trace.txt"), "utf8"));
  const changed = Buffer.from(trace);
  // The operator's seed stands behind the spec, whose length is first: with another key everything that is signed is another.
  changed[8 + Number(changed.readBigUInt64LE(0))] ^= 1;
  const replayed = steps(await wasm.replayTrace(changed).catch(() => ""));
  assert.notDeepEqual(replayed, native);
});

test("bytes that are no trace are refused", async () => {
  await assert.rejects(Promise.resolve(wasm.replayTrace(trace.subarray(0, 100))));
});
