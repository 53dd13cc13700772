// A million heights, verified from genesis in a page: a real peer serves a made-up chain of 700 epochs and 100 validators,
// of which some are replaced in each. `cargo xtask bench web` measures it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { inEachBrowser, launch, until } from "./rig/browsers.mjs";
import { startEpochs } from "./rig/liar.mjs";
import { attempt, openNode, serveNode, startNode } from "./rig/node-page.mjs";

const HEIGHT = 1_000_000;
const EPOCHS = 700;
/** Of 100 validators, so many are replaced in each epoch; one certificate per epoch is that many times more at least. */
const CASES = [
  { replaced: 1, fewer: 20 },
  { replaced: 5, fewer: 5 },
];

const peers = new Map();
let server;
before(async () => {
  for (const { replaced } of CASES) peers.set(replaced, await startEpochs(replaced));
  server = await serveNode();
});
after(async () => {
  await server?.close();
  for (const peer of peers.values()) await peer.close();
});

inEachBrowser((name) => {
  let browser;
  before(async () => (browser = await launch(name)));
  after(() => browser?.close());

  for (const { replaced, fewer } of CASES) {
    test(`${replaced} of 100 replaced in each epoch: a million heights take ${fewer} times fewer certificates than epochs, and are shown while they come`, async () => {
      const peer = peers.get(replaced);
      const page = await openNode(browser, server);
      await startNode(page, { spec: peer.spec, peers: [peer.url], anyAge: true, store: `heights ${replaced}` });
      const head = await until(page, (height) => window.seen.heads?.find((head) => head.height === height), HEIGHT);
      const { certificates_checked, signed_weight, total_weight, trusted_from } = head.finality;
      assert.ok(certificates_checked > 1 && fewer * certificates_checked <= EPOCHS, `${certificates_checked} certificates`);
      assert.equal(trusted_from.height, 0);
      assert.ok(3 * Number(signed_weight) > 2 * Number(total_weight));
      const states = await page.evaluate(() => window.seen.state);
      assert.ok(states.every(({ kind }) => kind !== "failed"), JSON.stringify(states));
      assert.ok(states.some(({ kind, target }) => kind === "syncing" && target === HEIGHT), "with how far it is");
      assert.equal((await attempt(page, "head")).value.height, HEIGHT);
      await page.evaluate(() => window.node.close());
      await page.close();
    });
  }
});
