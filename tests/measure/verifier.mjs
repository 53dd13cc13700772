// What the receipt verifier costs a page.

import { readFile } from "node:fs/promises";

import { launch, until } from "../browser/rig/browsers.mjs";
import { serve } from "../browser/rig/server.mjs";
import { brotli, dist, median, RUNS, root } from "./figures.mjs";

/** The figures: `{ name, value, unit, gate, beside }`. */
export async function verifier() {
  const { cases } = JSON.parse(await readFile(`${root}tests/vectors/receipts.json`, "utf8"));
  const { receipt, spec, now } = JSON.parse(cases.find(({ command }) => command === "verify-receipt").line);
  const server = await serve({ "/": dist, "/pages/": `${root}tests/browser/pages/` });
  const [first, again] = [[], []];
  for (let run = 0; run < RUNS; run += 1) {
    const browser = await launch("chromium");
    const page = await browser.open(`${server.url}/pages/blank.html`);
    await page.evaluate(measure, receipt, { spec: JSON.stringify(spec), now });
    const took = await until(page, () => window.took);
    first.push(took.first);
    again.push(took.again);
    await browser.close();
  }
  await server.close();
  const payload = await readFile(`${dist}/timecoin_verifier_bg.wasm`);
  return [
    { name: "verifier_brotli_bytes", what: "verifier, brotli", value: brotli(payload), unit: "bytes", gate: 100_000, beside: "alto explorer 74 KB, certificate check only" },
    { name: "verifier_bytes", what: "verifier, raw", value: payload.length, unit: "bytes" },
    { name: "verifier_import_to_answer_ms", what: "verifier, import to first answer", value: median(first), unit: "ms", gate: 250, beside: "alto explorer 65–126 ms" },
    { name: "verifier_receipt_ms", what: "verifier, one receipt of 3 signatures", value: median(again), unit: "ms" },
  ];
}

/** In the page: from importing the module to its first answer, and a further answer. */
function measure(receipt, options) {
  const run = async () => {
    const start = performance.now();
    const { verifyReceipt } = await import("/verifier.js");
    await verifyReceipt(receipt, options);
    const answered = performance.now();
    for (let turn = 0; turn < 20; turn += 1) await verifyReceipt(receipt, options);
    window.took = { first: answered - start, again: (performance.now() - answered) / 20 };
  };
  run().catch((error) => console.error(error));
}
