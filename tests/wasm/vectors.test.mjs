// The external signature vectors, judged by the wasm build: its verdicts are the native ones.
// `cargo xtask wasm` builds the module and runs this file.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
const local = (path) => fileURLToPath(new URL(path, root));
const wasm = createRequire(import.meta.url)(
  process.env.TIMECOIN_WASM ?? local("target/wasm-bindgen/nodejs/timecoin_web.js"),
);

const vectors = local("../shared/vectors/ed25519/open.txt");
const absent = existsSync(vectors) ? false : "SKIPPED: ../shared/vectors is absent, signature verdicts were NOT compared";
if (absent) console.error(absent);

test("external ed25519 vectors: single signatures and the key rule", { skip: absent }, () => {
  const lines = readFileSync(vectors, "utf8").split("\n").filter((line) => line !== "");
  assert.ok(lines.length > 0, "the vector file has lines");
  for (const line of lines) {
    const [set, id, key, message, signature, verdict, checkedVerdict] = line.split("|");
    const name = `${set} ${id}`;
    // Some vectors are no signature at all: too short or too long.
    const signed = signature.length === 128;
    if (!signed) assert.throws(() => wasm.verifySignature(key, message, signature), Error, name);
    const valid = signed && wasm.verifySignature(key, message, signature);
    assert.equal(valid ? "accept" : "reject", verdict, name);
    assert.equal(valid && wasm.verifyKey(key) ? "accept" : "reject", checkedVerdict, `${name}, with the key rule`);
  }
});

test("malformed text throws and the module goes on working", () => {
  const [key, signature] = ["00".repeat(32), "00".repeat(64)];
  const cases = [
    ["short key", key.slice(2), "", signature],
    ["key is not hexadecimal", "zz".repeat(32), "", signature],
    ["half a byte of message", key, "0", signature],
    ["long signature", key, "", `${signature}00`],
  ];
  for (const [name, ...texts] of cases) {
    assert.throws(() => wasm.verifySignature(...texts), Error, name);
  }
  assert.throws(() => wasm.verifyKey(""), Error);
  assert.equal(typeof wasm.verifySignature(key, "", signature), "boolean");
});
