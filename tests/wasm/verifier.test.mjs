// The receipt checker of the npm package, as users import it: native verdicts, every form, nothing that can be changed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliCompressSync, constants } from "node:zlib";

import { TimeCoinError, loadVerifier, verifyReceipt } from "../../web/dist/verifier.js";

const root = new URL("../../", import.meta.url);
const bytesOf = (path) => readFileSync(new URL(path, root));
await loadVerifier(bytesOf("web/dist/timecoin_verifier_bg.wasm"));

// Each receipt of the golden vectors: its forms, and what it was judged by, natively.
const { cases } = JSON.parse(bytesOf("tests/vectors/receipts.json"));
const receipts = [];
for (const { name, command, line, answer } of cases) {
  if (command === "codec-roundtrip") {
    receipts.push({ name, bytes: new Uint8Array(Buffer.from(JSON.parse(line).hex, "hex")), judged: [] });
  } else {
    // The texts as they stand in the line: reading and writing them again would be another JSON.
    const { receipt, spec, now } = JSON.parse(line);
    receipts.at(-1).judged.push({ name, receipt, spec, now, answer: JSON.parse(answer) });
  }
}

const options = ({ spec, now }) => ({ spec: JSON.stringify(spec), now });
const form = (receipt) => (typeof receipt === "string" ? receipt : JSON.stringify(receipt));

async function verdict(receipt, options) {
  try {
    return await verifyReceipt(receipt, options);
  } catch (error) {
    assert.ok(error instanceof TimeCoinError, `${error}`);
    assert.match(error.code, /^[a-z]+(-[a-z]+)*$/);
    assert.match(error.message, /^[^a-z ].*\.$/s, "a sentence");
    assert.match(error.advice, /\.$/, "and what to do");
    return error;
  }
}

test("the payload is at most 100 KB, compressed", () => {
  const payload = bytesOf("web/dist/timecoin_verifier_bg.wasm");
  const size = brotliCompressSync(payload, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }).length;
  assert.ok(size <= 100_000, `${size} bytes`);
});

test("there are receipts of every shape", () => {
  assert.deepEqual(
    receipts.map(({ name }) => name),
    ["in the certified block", "before the certified block", "before the anchor"],
  );
});

for (const { name, bytes, judged } of receipts) {
  test(`${name}: the native verdicts`, async () => {
    assert.ok(judged.length >= 5);
    for (const { name, receipt, spec, now, answer } of judged) {
      const found = await verdict(form(receipt), options({ spec, now }));
      if (answer.valid) {
        const { valid, memo, signed, ...same } = answer;
        assert.deepEqual(found, {
          ...same,
          memo: "thank you",
          memo_hex: memo,
          signed_weight: signed && `${signed.weight}`,
          total_weight: signed && `${signed.total}`,
          any_age: false,
        });
      } else {
        assert.equal(found.code, answer.error.code, name);
        assert.equal(found.message.toLowerCase(), `${answer.error.message}.`.toLowerCase(), name);
      }
    }
  });

  const [{ receipt: text, ...trust }, { receipt: json }] = judged;

  test(`${name}: bytes, text and JSON prove the same`, async () => {
    const proved = await verifyReceipt(bytes, options(trust));
    const encode = (text) => new TextEncoder().encode(text);
    const forms = [text, text.toLowerCase(), ` \n${text}\n`, JSON.stringify(json), JSON.stringify(json, null, 2)];
    for (const form of [...forms, ...forms.map(encode)]) {
      assert.deepEqual(await verifyReceipt(form, options(trust)), proved);
    }
  });

  test(`${name}: no byte can be changed, left out or added`, async () => {
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [1, 0x80]) {
        const changed = bytes.slice();
        changed[at] ^= bit;
        const found = await verdict(changed, options(trust));
        assert.ok(found instanceof TimeCoinError, `byte ${at} ^ ${bit}`);
      }
    }
    for (const length of [0, 1, 2, 100, bytes.length - 1]) {
      assert.ok((await verdict(bytes.slice(0, length), options(trust))) instanceof TimeCoinError, `${length} bytes`);
    }
    assert.equal((await verdict(new Uint8Array([...bytes, 0]), options(trust))).code, "trailing-bytes");
  });

  test(`${name}: no character of the text can be changed`, async () => {
    for (let at = 0; at < text.length; at += 7) {
      const other = text[at] === "Q" ? "P" : "Q";
      const found = await verdict(text.slice(0, at) + other + text.slice(at + 1), options(trust));
      assert.ok(found instanceof TimeCoinError, `character ${at}`);
    }
  });

  test(`${name}: JSON that says anything else proves nothing`, async () => {
    const whole = JSON.stringify(json);
    const proved = await verifyReceipt(whole, options(trust));
    let refused = 0;
    for (let at = 0; at < whole.length; at++) {
      const other = whole[at] === "1" ? "2" : "1";
      const found = await verdict(whole.slice(0, at) + other + whole.slice(at + 1), options(trust));
      if (found instanceof TimeCoinError) refused++;
      else assert.deepEqual(found, proved);
    }
    assert.equal(refused, whole.length, "every character counts");
  });
}

test("what is trusted is what the caller says", async () => {
  const [{ bytes, judged }] = receipts;
  const { spec, now } = judged[0];
  const without = { ...spec, checkpoints: [] };
  const anchors = spec.checkpoints;
  const text = JSON.stringify(without);
  assert.equal((await verdict(bytes, { spec: text, now })).code, "receipt-unknown-anchor");
  assert.equal((await verifyReceipt(bytes, { spec: text, now, anchors })).any_age, false);
  const late = now + 2 ** 40;
  assert.equal((await verdict(bytes, { spec: text, now: late, anchors })).code, "checkpoint-expired");
  const vouched = await verifyReceipt(bytes, { spec: text, now: late, anchors, anyAge: true });
  assert.deepEqual([vouched.any_age, vouched.anchor_age_ms], [true, late - anchors[0].time]);
  const early = anchors[0].time - 10 * 60 * 1000;
  assert.equal((await verdict(bytes, { spec: text, now: early, anchors })).code, "checkpoint-from-future");
  const forged = [{ ...anchors[0], height: anchors[0].height + 1 }];
  assert.equal((await verdict(bytes, { spec: text, now, anchors: forged })).code, "receipt-unknown-anchor");
  // The clock of this device: the vectors are years old.
  assert.equal((await verdict(bytes, { spec: text, anchors })).code, "checkpoint-expired");
});

test("a receipt cannot say what is trusted", async () => {
  const { receipt, spec, now } = receipts[0].judged[1];
  const without = JSON.stringify({ ...spec, checkpoints: [] });
  const anchors = JSON.stringify(spec.checkpoints);
  const whole = JSON.stringify(receipt);
  for (const smuggled of [
    `${whole},"anchors":${anchors}`,
    `${whole.slice(0, -1)},"anchors":${anchors}}`,
    `{"receipt":${whole},"anchors":${anchors}}`,
    `[${whole},${anchors}]`,
  ]) {
    assert.ok((await verdict(smuggled, { spec: without, now })) instanceof TimeCoinError);
  }
});

test("input of any kind is refused with a code, and the module goes on working", async () => {
  const { spec, now } = receipts[0].judged[0];
  const given = options({ spec, now });
  const garbage = ["", " ", "{", "[]", "null", "1e400", '"\ud800"', "timereceipt1", "TIMERECEIPT1QQQQQQ", "\u0000", "{}"];
  const deep = ["[".repeat(200000), '{"a":'.repeat(100000), "9".repeat(100000), " ".repeat(5 << 20)];
  const bytes = [new Uint8Array(0), new Uint8Array(2 << 20), new Uint8Array(100).fill(255)];
  for (const receipt of [...garbage, ...deep, ...bytes]) {
    assert.ok((await verdict(receipt, given)) instanceof TimeCoinError, `${receipt}`.slice(0, 20));
  }
  for (const spec of ["", "{}", "[]", "null", "[".repeat(200000)]) {
    assert.equal((await verdict(receipts[0].bytes, { spec, now })).code, "malformed-spec", spec.slice(0, 20));
  }
  for (const anchors of [{}, [1], [{}], [{ ...spec.checkpoints[0], more: 1 }]]) {
    assert.equal((await verdict(receipts[0].bytes, { ...given, anchors })).code, "malformed-checkpoint");
  }
  for (const now of [-1, 0.5, Number.NaN, 2 ** 53]) {
    assert.equal((await verdict(receipts[0].bytes, { ...given, now })).code, "malformed-time");
  }
  assert.equal((await verifyReceipt(receipts[0].bytes, given)).height, 9);
});
