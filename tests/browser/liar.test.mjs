// Peers that lie to a page, each in its own way, nearer to it than the one honest node: every lie is refused and kept as
// evidence, and the page goes on with the honest one.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startDevnet } from "./rig/devnet.mjs";
import { startLiar } from "./rig/liar.mjs";
import { attempt, call, inState, openNode, serveNode, startNode } from "./rig/node-page.mjs";
import { wireTo } from "./rig/wire.mjs";

/** How much further away the honest node is, each way, in milliseconds. */
const FURTHER = 100;
/** More blocks than an answer may be behind. */
const STALE_BLOCKS = 12;

/** Lies by name: the code under which each is reported, none where it is no more than an answer that does not come. */
const LIES = [
  { lie: "wrong-proof", code: "wrong_proof", everywhere: true },
  { lie: "wrong-head", code: "wrong_head", everywhere: true },
  { lie: "forged-certificate", code: "forged_certificate", everywhere: true },
  { lie: "stale-head", code: "stale_head", everywhere: true },
  { lie: "withheld-coin", code: "wrong_proof", everywhere: true },
  { lie: "other-validators", code: "forged_certificate" },
  { lie: "withheld-block", code: "withheld" },
  { lie: "higher-height", code: "withheld" },
  { lie: "final-payment", code: "wrong_proof", pays: true },
  { lie: "swallowed-payment", pays: true },
  { lie: "refused-payment", pays: true },
  { lie: "wrong-answer", code: "wrong_answer" },
  { lie: "unknown" },
  { lie: "silent" },
  { lie: "slow" },
  { lie: "garbage" },
];
/** No honest peer does the others. */
const PASSING = ["stale_head", "withheld"];

let devnet;
let server;
let honest;
before(async () => {
  devnet = await startDevnet({ rate: 5 });
  server = await serveNode();
  honest = await wireTo(devnet.peers[1], FURTHER);
});
after(async () => {
  await honest?.close();
  await server?.close();
  await devnet?.close();
});

inEachBrowser((name) => {
  let browser;
  before(async () => (browser = await launch(name)));
  after(() => browser?.close());

  /** Asks for everything that a page shows, and compares it with what the honest node says. */
  async function askEverything(page) {
    const answers = {};
    for (const method of ["balance", "coins"]) answers[method] = await call(page, method, devnet.demo);
    answers.masternodes = await call(page, "masternodes");
    const { height } = await call(page, "head");
    answers.block = await call(page, "block", height);
    const [{ txid }] = answers.block.value.transactions;
    answers.transaction = await call(page, "transaction", txid);
    for (const [method, answer] of Object.entries(answers)) assert.equal(answer.verified, true, method);

    const told = await devnet.rpc("getbalance", { address: devnet.demo }, 1);
    assert.deepEqual([answers.balance.value.amount, answers.coins.value.length], [told.balance, answers.balance.value.coins]);
    assert.equal(answers.masternodes.value.length, devnet.peers.length);
    assert.equal(answers.block.block, (await devnet.rpc("getblock", { block: height }, 1)).block);
    assert.deepEqual([answers.transaction.value.final, answers.transaction.height], [true, height]);
    return height;
  }

  const newest = (page) => page.evaluate(() => window.newest("heads").height);
  const reaches = (page, height) => until(page, (height) => window.newest("heads").height >= height, height);
  const evidence = (page) => page.evaluate(() => window.seen.evidence);

  for (const { lie, code, everywhere, pays } of LIES) {
    if (name !== "chromium" && !everywhere) continue;
    test(`${lie}: refused, ${code === undefined ? "no evidence of anything" : `kept as ${code}`}, and the page goes on`, async () => {
      const liar = await startLiar(lie, { spec: devnet.spec, node: devnet.peers[0] });
      // Certificates are asked for at the start alone: of the liar, if the other does not answer yet.
      const forges = code === "forged_certificate";
      if (forges) honest.cut();
      const page = await openNode(browser, server);
      try {
        await startNode(page, { spec: devnet.spec, peers: [liar.url, honest.url], store: `${lie} ${name}` });
        await page.evaluate(() => window.follow("evidence", window.node.evidence()));
        if (forges) {
          await until(page, () => window.seen.evidence.length > 0);
          honest.mend();
        }
        await inState(page, "verified");
        // Whom to ask first is known once both have answered a ping.
        await until(page, async () => {
          for await (const peers of window.node.peers()) return peers.length === 2 && peers.every(({ rtt_ms, state }) => rtt_ms !== null || state === "banned");
        });
        const height = await askEverything(page);
        if (lie === "stale-head") {
          assert.deepEqual(await evidence(page), [], "fresh so far");
          await reaches(page, height + STALE_BLOCKS);
          await askEverything(page);
        }
        if (pays) {
          const { txid, hex } = await devnet.signed("0.25");
          if (lie === "final-payment") {
            // One that only the liar heard of.
            const alone = await openNode(browser, server, { spec: devnet.spec, peers: [liar.url], store: `${lie} alone` });
            assert.equal(await call(alone, "submit", hex), txid);
            await alone.evaluate(() => window.node.close());
            await alone.close();
            assert.equal((await attempt(page, "transaction", txid)).code, "not_found", "nobody proves it");
          }
          assert.equal(await call(page, "submit", hex), txid);
          const final = await call(page, "waitFinal", txid);
          assert.deepEqual([final.verified, final.value.final], [true, true]);
          const { final: really } = await devnet.rpc("gettransactionfinality", { txid }, 1);
          assert.equal(really, true, "the honest node knows it as final");
        }
        if (code !== undefined) {
          // On a busy machine the liar may look further away at first: whoever goes on asking comes to it.
          const asking = async (code, address) => {
            await Promise.all([window.node.balance(address), window.node.coins(address)]);
            return window.seen.evidence.find(({ kind }) => kind === code);
          };
          const found = await until(page, asking, code, devnet.demo);
          assert.deepEqual([found.peer, found.url, found.proved], [liar.key, liar.url, !PASSING.includes(code)]);
          assert.ok(found.detail.length > 0);
        }
        const others = (await evidence(page)).filter(({ kind }) => kind !== code);
        assert.deepEqual(others, [], "nobody is accused of anything else");
        await reaches(page, (await newest(page)) + 2);
        await askEverything(page);
        assert.ok(liar.told().length > 0, "it was asked, and lied");
      } finally {
        honest.mend();
        await page.evaluate(() => window.node.close());
        await page.close();
        await liar.close();
      }
    });
  }
});
