// `cargo xtask bench web [--json]`: what the npm package costs a page, beside the gates and what others ship. Fails where a
// gate is missed.

import { passes, shown } from "./figures.mjs";
import { node } from "./node.mjs";
import { validator } from "./validator.mjs";
import { verifier } from "./verifier.mjs";

const figures = [...(await verifier()), ...(await node()), ...(await validator())];
if (process.argv.includes("--json")) {
  console.log(JSON.stringify(Object.fromEntries(figures.map(({ name, value }) => [name, value]))));
} else {
  console.log("what | measured | gate | others");
  figures.forEach((figure) => console.log(shown(figure)));
}
process.exit(figures.every(passes) ? 0 : 1);
