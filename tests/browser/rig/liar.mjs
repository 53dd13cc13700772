// The liar as a process (`tests/src/bin/liar.rs`).

import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { end, ready, start } from "./processes.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);

/** The liar's program: the one given, or built now. */
async function program() {
  if (process.env.TIMECOIN_LIAR !== undefined) return process.env.TIMECOIN_LIAR;
  await run(process.env.CARGO ?? "cargo", ["build", "--quiet", "--package", "timecoin-tests", "--bin", "liar"], { cwd: root });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "liar");
}

async function launch(parameters, cleanUp = () => {}) {
  const running = start(await program(), parameters);
  const lines = () => running.output.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  const { url, key } = await ready(running, async () => (running.output.includes("\n") ? lines()[0] : null));
  return {
    url,
    key,
    /** The kinds of question that it lied about. */
    told: () => lines().flatMap(({ told, about }) => (told === undefined ? [] : [about])),
    /** Questions and bytes of each session that ended. */
    sessions: () => lines().flatMap(({ session }) => (session === undefined ? [] : [session])),
    async close() {
      await end(running);
      await cleanUp();
    },
  };
}

/** Starts a peer that knows the truth of the node at `node`, and tells this lie about it. */
export async function startLiar(lie, { spec, node, delay = 3_000 }) {
  const folder = await mkdtemp(join(tmpdir(), "timecoin-liar-"));
  const chain = join(folder, "chain.json");
  await writeFile(chain, spec);
  const remove = () => rm(folder, { recursive: true, force: true });
  return launch(["--chain", chain, "--node", node, "--lie", lie, "--delay-ms", String(delay)], remove);
}

/** Starts a peer of a made-up chain of a million heights and 700 epochs, in each of which some of 100 validators change. */
export async function startEpochs(replaced) {
  const peer = await launch(["--epochs", String(replaced)]);
  const spec = await fetch(peer.url.replace(/^ws(.*)p2p$/, "http$1spec.json"));
  return { ...peer, spec: await spec.text() };
}
