// The wasm build under test, and where the files lie that it is compared with.

import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A file of the repository. */
export const local = (path) => fileURLToPath(new URL(path, new URL("../../", import.meta.url)));

const recordings = process.env.TIMECOIN_TRACE ?? local("target/trace");

/** A file that `tests/src/bin/trace.rs` wrote. */
export const recorded = (name) => join(recordings, name);

export const wasm = createRequire(import.meta.url)(process.env.TIMECOIN_WASM ?? local("target/wasm-bindgen/nodejs/timecoin_web.js"));

/** The lines of a text that ends with the last of them. */
export const linesOf = (text) => text.split("\n").slice(0, -1);
