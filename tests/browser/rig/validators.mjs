// Pages that validate, with relays between them and a devnet: every vote that leaves them is written down.

import { setTimeout as sleep } from "node:timers/promises";

import { until } from "./browsers.mjs";
import { consistent, startRelay, votesOf } from "./relay.mjs";

const PATIENCE_MS = 120_000;

/** Waits for something true, and returns it; where it never comes, the failure says what `tell` says. */
export async function eventually(probe, tell = () => "", patienceMs = PATIENCE_MS) {
  for (const begun = Date.now(); Date.now() - begun < patienceMs; await sleep(100)) {
    const answer = await probe();
    if (answer) return answer;
  }
  throw new Error(`never came true: ${probe}\n${await tell()}`);
}

/** Chance that comes again: the seed is printed, and can be given as `TIMECOIN_SEED`. */
export function chance(name) {
  const seed = Number(process.env.TIMECOIN_SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`${name}: TIMECOIN_SEED=${seed}`);
  let state = seed >>> 0;
  return {
    /** A whole number, at least `from` and below `to`. */
    between(from, to) {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return from + Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * (to - from));
    },
  };
}

/** Relays in front of these nodes of a devnet. `unfair`: what each of them keeps from passing, if anything. */
export async function startRelays(devnet, nodes, unfair = []) {
  const relays = await Promise.all(
    nodes.map((node, at) => startRelay({ spec: devnet.spec, node: devnet.peers[node], unfair: unfair[at] })),
  );
  return {
    urls: relays.map(({ url }) => url),
    /** Every vote that left a page, as often as it did. */
    votes: async () => (await Promise.all(relays.map((relay) => relay.votes()))).flat(),
    /** Those of one operator, each once. Fails where any operator signed two different ones. */
    votesOf: (operator) => votesOf(operator, relays),
    /** Fails where any operator signed two different votes. */
    check: async () => consistent((await Promise.all(relays.map((relay) => relay.votes()))).flat()),
    close: () => Promise.all(relays.map((relay) => relay.close())),
  };
}

/** A page of the tests that can validate. */
export async function openValidator(browser, server) {
  const page = await browser.open(`${server.url}/validator.html`);
  await until(page, () => window.ready === true);
  return page;
}

export const statusOf = (page) => page.evaluate(() => window.validator.status);

/** Starts to validate in a page; its operator. */
export async function startValidator(page, options) {
  const { operator, code, message } = await page.evaluate((given) => window.insist(given), options);
  if (operator === undefined) throw new Error(`${code}: ${message}`);
  return operator;
}

/** Waits until a page votes: out of quarantine, and in the certificate of a block. */
export const votes = (page) =>
  eventually(
    async () => {
      const { quarantine, certified } = await statusOf(page);
      return quarantine === null && certified > 0;
    },
    async () => JSON.stringify(await statusOf(page)),
  );
