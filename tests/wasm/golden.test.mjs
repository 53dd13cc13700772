// Our own golden vectors, answered by the wasm build: the same bytes as natively.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { local, wasm } from "./module.mjs";

const files = readdirSync(local("tests/vectors")).filter((file) => file.endsWith(".json"));

test("there are golden vectors", () => assert.ok(files.length >= 9, files.join(" ")));

for (const file of files) {
  const { cases } = JSON.parse(readFileSync(local(`tests/vectors/${file}`), "utf8"));
  test(`${file}: ${cases.length} answers are the native ones, byte for byte`, () => {
    assert.ok(cases.length > 0);
    for (const { name, command, line, answer } of cases) {
      assert.equal(wasm.tool(command, line), answer, `${file}, ${name}`);
    }
  });
}

test("bad lines are answered, and the module goes on working", () => {
  const lines = ["", "{", "[]", "null", '{"owner":1}', "[".repeat(100000), '{"owner":"\ud800"}', "\u0000"];
  for (const line of lines) {
    const { error } = JSON.parse(wasm.tool("address", line));
    assert.equal(typeof error.code, "string", line.slice(0, 20));
  }
  assert.equal(JSON.parse(wasm.tool("no-such", "{}")).error.code, "unknown-command");
});
