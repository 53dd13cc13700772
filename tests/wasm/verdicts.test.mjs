// Good and bad blocks of a recorded chain, judged by the wasm build: with every coin at hand and with proofs, it says of each what the native
// one says, word for word. `cargo xtask wasm` makes the recording (`tests/src/bin/trace.rs`) and runs this file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const local = (path) => fileURLToPath(new URL(path, new URL("../../", import.meta.url)));
const wasm = createRequire(import.meta.url)(process.env.TIMECOIN_WASM ?? local("target/wasm-bindgen/nodejs/timecoin_web.js"));
const folder = process.env.TIMECOIN_TRACE ?? local("target/trace");

const recording = readFileSync(join(folder, "verdicts.bin"));
const lines = (text) => text.split("\n").slice(0, -1);
const native = lines(readFileSync(join(folder, "verdicts.txt"), "utf8"));

test("of every block of a recorded chain, good and bad, wasm says what the native node says", () => {
  const judged = lines(wasm.judgeBlocks(recording));
  assert.deepEqual(judged, native);
  const good = native.filter((line) => /^[0-9a-f]{64} [0-9a-f]{64}$/.test(line.split(" | ")[1])).length;
  console.log(`${native.length} blocks, ${good} of them good`);
  assert.ok(good >= 60 && native.length - good >= 1_000);
});

test("with a proof each verdict is the one with every coin at hand", () => {
  for (const line of native) {
    const [, local, proved] = line.split(" | ");
    assert.equal(proved, local, line);
  }
});

test("bytes that are no recording are refused", () => {
  assert.throws(() => wasm.judgeBlocks(recording.subarray(0, 100)));
});
