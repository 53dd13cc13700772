// The external signature vectors, judged by the wasm build: its verdicts are the native ones.
// `cargo xtask wasm` builds the module and runs this file.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { local, wasm } from "./module.mjs";

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

test("external ed25519 vectors: in batches of 2 and 64, in any order", { skip: absent }, () => {
  const cases = readFileSync(vectors, "utf8")
    .split("\n")
    .map((line) => line.split("|"))
    .filter(([, , key, , signature]) => key?.length === 64 && signature.length === 128);
  assert.ok(cases.length > 500, `${cases.length} cases`);
  // A generator of its own, so that a failure comes again.
  let state = 1;
  const below = (bound) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const valid = cases.filter(([, , , , , verdict]) => verdict === "accept");
  // Among all of them nearly every batch of 64 holds an invalid one; among the valid ones none does.
  for (const list of [cases, valid]) {
    for (const size of [2, 64]) {
      for (let at = list.length - 1; at > 0; at--) {
        const other = below(at + 1);
        [list[at], list[other]] = [list[other], list[at]];
      }
      for (let from = 0; from < list.length; from += size) {
        const batch = list.slice(from, from + size);
        const items = batch.map(([, , public_key, message, signature]) => ({ public_key, message, signature }));
        const verdicts = batch.map(([, , , , , verdict]) => verdict === "accept");
        const answer = JSON.parse(wasm.tool("verify-signature", JSON.stringify({ batch: items })));
        const names = batch.map(([set, id]) => `${set} ${id}`).join(", ");
        assert.deepEqual(answer, { valid: verdicts.every(Boolean), results: verdicts }, names);
      }
    }
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
