// What the package costs a page, beside the gates and what others ship (`cargo xtask bench web`, one JSON object with
// `--json`). Times are medians in Chromium, each of a fresh browser.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

import { launch, until } from "../browser/rig/browsers.mjs";
import { serve } from "../browser/rig/server.mjs";

const RUNS = 5;
const root = fileURLToPath(new URL("../../", import.meta.url));
const dist = `${root}web/dist`;

const { cases } = JSON.parse(await readFile(`${root}tests/vectors/receipts.json`, "utf8"));
const { receipt, spec, now } = JSON.parse(cases.find(({ command }) => command === "verify-receipt").line);
const payload = await readFile(`${dist}/timecoin_verifier_bg.wasm`);

const server = await serve({ "/": dist, "/pages/": `${root}tests/browser/pages/` });
const first = [];
const again = [];
for (let run = 0; run < RUNS; run++) {
  const browser = await launch("chromium");
  const page = await browser.open(`${server.url}/pages/blank.html`);
  await page.evaluate(measure, receipt, { spec: JSON.stringify(spec), now });
  const took = await until(page, () => window.took);
  first.push(took.first);
  again.push(took.again);
  await browser.close();
}
await server.close();

const figures = {
  verifier_brotli_bytes: brotliCompressSync(payload, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }).length,
  verifier_bytes: payload.length,
  verifier_import_to_answer_ms: median(first),
  verifier_receipt_ms: median(again),
};
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(figures));
} else {
  const rows = [
    ["verifier, brotli", `${(figures.verifier_brotli_bytes / 1000).toFixed(1)} KB`, "100 KB", "alto explorer 74 KB, certificate check only"],
    ["verifier, import to first answer", `${figures.verifier_import_to_answer_ms.toFixed(0)} ms`, "250 ms", "alto explorer 65–126 ms"],
    ["verifier, one receipt of 3 signatures", `${figures.verifier_receipt_ms.toFixed(1)} ms`, "", ""],
  ];
  console.log("what | measured | gate | others");
  for (const row of rows) console.log(row.join(" | "));
}
const passed = figures.verifier_brotli_bytes <= 100_000 && figures.verifier_import_to_answer_ms < 250;
process.exit(passed ? 0 : 1);

/** In the page: from importing the module to its first answer, and a further answer. */
function measure(receipt, options) {
  const run = async () => {
    const start = performance.now();
    const { verifyReceipt } = await import("/verifier.js");
    await verifyReceipt(receipt, options);
    const answered = performance.now();
    for (let turn = 0; turn < 20; turn++) await verifyReceipt(receipt, options);
    window.took = { first: answered - start, again: (performance.now() - answered) / 20 };
  };
  run().catch((error) => console.error(error));
}

function median(values) {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
