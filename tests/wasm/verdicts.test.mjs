// Good and bad blocks of a recorded chain, judged by the wasm build: with every coin at hand and with proofs, it says of each what the native
// one says, word for word. `cargo xtask wasm` makes the recording (`tests/src/bin/trace.rs`) and runs this file.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { linesOf, recorded, wasm } from "./module.mjs";

const recording = readFileSync(recorded("verdicts.bin"));
const native = linesOf(readFileSync(recorded("verdicts.txt"), "utf8"));

test("of every block of a recorded chain, good and bad, wasm says what the native node says", () => {
  const judged = linesOf(wasm.judgeBlocks(recording));
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
