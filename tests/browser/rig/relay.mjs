// Relays that write down every vote a page sends, as processes (`tests/src/bin/relay.rs`), and the check of what they wrote.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { end, ready, start } from "./processes.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);

/** The relay's program: the one given, or built now. */
async function program() {
  if (process.env.TIMECOIN_RELAY !== undefined) return process.env.TIMECOIN_RELAY;
  await run(process.env.CARGO ?? "cargo", ["build", "--quiet", "--package", "timecoin-tests", "--bin", "relay"], { cwd: root });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "relay");
}

/** Starts a relay in front of the node at `node`; `unfair` is what it keeps from passing. */
export async function startRelay({ spec, node, unfair }) {
  const folder = await mkdtemp(join(tmpdir(), "timecoin-relay-"));
  const [chain, file] = [join(folder, "chain.json"), join(folder, "votes")];
  await writeFile(chain, spec);
  const how = unfair === undefined ? [] : ["--unfair", String(unfair)];
  const running = start(await program(), ["--chain", chain, "--node", node, "--votes", file, ...how]);
  const { url } = await ready(running, ({ output }) => (output.includes("\n") ? JSON.parse(output.split("\n")[0]) : null));
  const lines = async () => {
    const text = await readFile(file, "utf8");
    // The last line is empty, or not whole yet.
    return text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  };
  return {
    url,
    /** Every vote that pages have sent so far, the same one as often as it was sent. */
    votes: async () => (await lines()).filter(({ shown }) => shown === undefined),
    /** The proposals that pages were shown: `{ shown: { height, view }, at_us }`, by the clock of this relay's votes. */
    shown: async () => (await lines()).filter(({ shown }) => shown !== undefined),
    async close() {
      await end(running);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** What is voted on; an operator may say one thing about it. */
const question = ({ operator, height, view, phase }) => [operator, height, view, phase].join(" ");
const answer = ({ block, valid_view, signature }) => [block, valid_view, signature].join(" ");

/** The votes without those sent again. Fails where an operator signed two different ones, or nobody signed. */
export function consistent(votes) {
  const said = new Map();
  for (const vote of votes) {
    if (vote.operator === null) throw new Error(`a vote that no operator signed: ${JSON.stringify(vote)}`);
    const before = said.get(question(vote));
    if (before !== undefined && answer(before) !== answer(vote)) {
      throw new Error(`signed twice:\n${JSON.stringify(before)}\n${JSON.stringify(vote)}`);
    }
    said.set(question(vote), before ?? vote);
  }
  return [...said.values()];
}

/** All votes of these relays that one operator signed, each once. */
export async function votesOf(operator, relays) {
  const votes = (await Promise.all(relays.map((relay) => relay.votes()))).flat();
  return consistent(votes).filter((vote) => vote.operator === operator);
}
