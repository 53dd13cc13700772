// Checks a receipt again and again in a Worker, with what ships.

import { loadVerifier, verifyReceipt } from "/timecoin/verifier.js";

addEventListener("message", async ({ data: { receipt, options, turns } }) => {
  await loadVerifier();
  const check = () => verifyReceipt(receipt, options);
  // What runs first is compiled in haste.
  for (let turn = 0; turn < turns; turn += 1) await check();
  const begun = performance.now();
  for (let turn = 0; turn < turns; turn += 1) await check();
  postMessage((performance.now() - begun) / turns);
});
