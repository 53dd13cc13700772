// What reached a node of a simulated network, replayed by the wasm build: after each step it wrote, sent and became what the native one
// did. `cargo xtask wasm` records the trace (`tests/src/bin/trace.rs`) and runs this file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { linesOf, recorded, wasm } from "./module.mjs";

const trace = readFileSync(recorded("trace.bin"));

test("a recorded trace leaves the same hash after every step, natively and in wasm", async () => {
  const native = linesOf(readFileSync(recorded("trace.txt"), "utf8"));
  const replayed = linesOf(await wasm.replayTrace(trace));
  assert.ok(native.length > 1_000, `${native.length} steps`);
  assert.ok(Number(native.at(-1).split(" ")[0]) >= 100, native.at(-1));
  const at = native.findIndex((step, at) => step !== replayed[at]);
  assert.equal(at, -1, `step ${at}: natively ${native[at]}, in wasm ${replayed[at]}`);
  assert.equal(replayed.length, native.length);
});

test("the hashes tell a node with another key", async () => {
  const native = linesOf(readFileSync(recorded("trace.txt"), "utf8"));
  const changed = Buffer.from(trace);
  // The operator's seed stands behind the spec, whose length is first: with another key everything that is signed is another.
  changed[8 + Number(changed.readBigUInt64LE(0))] ^= 1;
  const replayed = linesOf(await wasm.replayTrace(changed).catch(() => ""));
  assert.notDeepEqual(replayed, native);
});

test("bytes that are no trace are refused", async () => {
  await assert.rejects(Promise.resolve(wasm.replayTrace(trace.subarray(0, 100))));
});
