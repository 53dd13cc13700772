// Validates a block of payments again and again in a Worker, with what ships; the median time.

const { default: init, BlockSample } = await import("/measured/timecoin_web.js");

addEventListener("message", async ({ data: { payments, turns } }) => {
  await init({ module_or_path: "/measured/timecoin_web_bg.wasm" });
  const sample = new BlockSample(payments);
  // What runs first is compiled in haste.
  for (let turn = 0; turn < 3; turn += 1) sample.validate();
  const times = [];
  for (let turn = 0; turn < turns; turn += 1) {
    const begun = performance.now();
    sample.validate();
    times.push(performance.now() - begun);
  }
  postMessage(times.toSorted((a, b) => a - b)[Math.floor(turns / 2)]);
});
postMessage("ready");
