// Validators in pages that are killed at any moment: the Worker, the tab, the browser. Every vote that left them was written
// down by the relays that are their only peers, and none contradicts another.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { BROWSERS, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { serveNode } from "./rig/node-page.mjs";
import { chance, eventually, openValidator, startRelays, startValidator, statusOf, votes } from "./rig/validators.mjs";

/** How often each is killed, in each of the tabs of a browser. WebKit's profile ends with it. */
const KILLS = {
  chromium: { tabs: 2, worker: 84, tab: 12, browser: 4 },
  firefox: { tabs: 1, worker: 6, tab: 2, browser: 2 },
  webkit: { tabs: 1, worker: 6, tab: 2, browser: 0 },
};
/**
 * Of three lives one ends so many milliseconds after its start: before the database is open, or while it listens for its own key. Not in
 * WebKit: there the lock that a Worker asks for while it is ended may be held by nobody until the last tab of the site is closed.
 */
const EARLY_MS = [20, 1_200];
/** Two end so many after their first vote is heard of. */
const LATE_MS = [0, 400];

describe("killed validators", { concurrency: true }, () => {
  for (const name of BROWSERS) describe(name, { concurrency: 1 }, () => killed(name));
});

function killed(name) {
  const { tabs, worker, tab: tabKills, browser: browserKills } = KILLS[name];
  // A quorum without the pages, for blocks while they are dead.
  const natives = tabs === 1 ? 3 : 5;
  let devnet;
  let server;
  let relays;
  let seats;
  before(async () => {
    [devnet, server] = await Promise.all([startDevnet({ validators: natives + tabs, rate: 4 }), serveNode()]);
    relays = await startRelays(devnet, [0, 1]);
    seats = await Promise.all(Array.from({ length: tabs }, (_, at) => seat(natives + at)));
  });
  after(async () => {
    for (const { browser, profile } of seats ?? []) {
      await browser.close();
      if (profile !== undefined) await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
    await relays?.close();
    await server?.close();
    await devnet?.close();
  });

  /** A browser with a profile of its own and a page in it, in the place of a native validator. */
  async function seat(node) {
    const profile = name === "webkit" ? undefined : await mkdtemp(join(tmpdir(), `timecoin-killed-${name}-`));
    const options = { spec: devnet.spec, peers: relays.urls, operatorKey: await devnet.operatorKey(node) };
    const browser = await launch(name, { profile, hides: true });
    return { node, profile, options, browser, page: await openValidator(browser, server), operator: null, from: null };
  }

  /** What left this page, each vote once: pages pass on votes of others as well, also the native validator's before it. */
  const own = async ({ operator, from }) => (await relays.votesOf(operator)).filter(({ height }) => height > from);

  /** Starts them all, and waits until they vote. */
  const begin = () =>
    Promise.all(
      seats.map(async (seat) => {
        seat.operator = await startValidator(seat.page, seat.options);
        await votes(seat.page);
      }),
    );

  test("pages take the places of native validators", async () => {
    for (const seat of seats) {
      devnet.kill(seat.node);
      // The native validator may have voted for the next one.
      seat.from = (await devnet.rpc("getblockcount")) + 1;
    }
    await begin();
  });

  test("what the relays wrote down is all that was signed", async () => {
    for (const seat of seats) {
      await seat.page.evaluate(() => window.validator.stop());
      const { votes_signed, stage } = await statusOf(seat.page);
      assert.equal(stage.kind, "stopped");
      const captured = async () => (await own(seat)).length;
      await eventually(async () => (await captured()) === votes_signed, async () => `${await captured()} of ${votes_signed}`);
    }
  });

  test(`none of ${tabs * (worker + tabKills + browserKills)} kills makes a page contradict itself`, async () => {
    const random = chance(`${name}, kills`);
    const count = () => Promise.all(seats.map(async (seat) => (await own(seat)).length));
    const before = await count();
    const kills = await Promise.all(seats.map((seat) => lives(seat, plan(random))));
    const signed = (await count()).map((votes, at) => votes - before[at]);
    console.log(`${name}: kills ${JSON.stringify(kills)}, votes between them ${JSON.stringify(signed)}`);
    for (const votes of signed) assert.ok(votes > worker, "votes left between the kills");
    await relays.check();
  });

  test("after the last kill everything goes on: without the pages there is no quorum any more, and with them there is", async () => {
    devnet.kill(natives - 1);
    await begin();
    for (const { page } of seats) assert.equal((await statusOf(page)).quarantine, null, "it remembers what it has signed");
    const from = (await devnet.rpc("getblockcount")) + 1;
    await eventually(async () => (await devnet.rpc("getblockcount")) >= from + 10);
    const commits = (await Promise.all(seats.map(own))).flat().filter(({ phase, block }) => phase === "Commit" && block !== null);
    for (let height = from; height < from + 10; height += 1) assert.ok(commits.some((vote) => vote.height === height), `height ${height}`);
    await relays.check();
  });

  /** What is killed, in which order. */
  function plan(random) {
    const kinds = [...Array(worker).fill("worker"), ...Array(tabKills).fill("tab"), ...Array(browserKills).fill("browser")];
    for (let at = kinds.length - 1; at > 0; at -= 1) {
      const other = random.between(0, at + 1);
      [kinds[at], kinds[other]] = [kinds[other], kinds[at]];
    }
    return kinds.map((kind) => {
      const speaks = random.between(0, 3) > 0 || name === "webkit";
      return { kind, speaks, ms: random.between(...(speaks ? LATE_MS : EARLY_MS)), crashes: name === "chromium" && random.between(0, 2) > 0 };
    });
  }

  async function lives(seat, plan) {
    const counts = { worker: 0, tab: 0, browser: 0, crash: 0 };
    for (const { kind, speaks, ms, crashes } of plan) {
      counts[kind] += 1;
      if (kind === "worker") {
        const status = await seat.page.evaluate((...given) => window.live(...given), seat.options, ms, speaks);
        assert.equal(status?.quarantine ?? null, null, "it remembers what it has signed");
        continue;
      }
      await seat.page.evaluate((options) => void window.insist(options), seat.options);
      if (speaks) await until(seat.page, () => window.validator?.status.votes_signed > 0);
      await sleep(ms);
      const old = seat.page;
      if (kind === "browser") {
        await seat.browser.kill();
        seat.browser = await launch(name, { profile: seat.profile, hides: true });
        seat.page = await openValidator(seat.browser, server);
      } else {
        if (crashes) await old.crash();
        counts.crash += Number(crashes);
        seat.page = await openValidator(seat.browser, server);
        await old.close();
      }
    }
    return counts;
  }
}
