// Judges recorded blocks in a Worker.

import { serve } from "/harness.js";
import init, { judgeBlocks, reportPanics } from "/module/timecoin_web.js";

const ready = init({ module_or_path: "/module/timecoin_web_bg.wasm" }).then(reportPanics);

serve(ready, {
  judge: async () => judgeBlocks(new Uint8Array(await (await fetch("/trace/verdicts.bin")).arrayBuffer())),
});
