// A devnet of real processes: its nodes, its chain spec, its demo wallet.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { end, freePorts, ready, start } from "./processes.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const run = promisify(execFile);
const PASSWORD = "of the tests";

/** The node's program: the one given, or built now. */
export async function program() {
  if (process.env.TIMECOIN !== undefined) return process.env.TIMECOIN;
  await run(process.env.CARGO ?? "cargo", ["build", "--quiet", "--bin", "timecoin"], { cwd: root });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "timecoin");
}

/**
 * Starts a devnet in a folder of its own; it makes a block for every payment, `rate` payments a second. `browsers`: validators
 * more that wait for a tab; `web`: the folder of the app, which its nodes serve.
 */
export async function startDevnet({ validators = 2, rate = 2, browsers = 0, web = null } = {}) {
  const timecoin = await program();
  const scratch = await mkdtemp(join(tmpdir(), "timecoin-devnet-"));
  const folder = join(scratch, "devnet");
  const port = await freePorts(validators);
  const wallet = join(scratch, "wallet");
  const passwordFile = join(scratch, "password");
  const url = `http://127.0.0.1:${port}`;
  let running;

  const rpc = async (method, params = {}, at = 0) => {
    const response = await fetch(`http://127.0.0.1:${port + at}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await response.json();
    if (error !== undefined) throw new Error(error.message);
    return result;
  };
  const app = web === null ? ["--no-web"] : ["--web", web];
  const begin = async () => {
    const before = running === undefined ? 1 : 0;
    running = start(timecoin, ["devnet", "--validators", validators, "--browser-validators", browsers, ...app, "--dir", folder, "--base-port", port, "--rate", rate].map(String));
    await ready(running, async () => ((await rpc("getblockcount").catch(() => 0)) > before ? true : null));
  };
  const command = async (...given) => JSON.parse((await run(timecoin, [...given, "--json"])).stdout.trim().split("\n").pop());

  // A wallet is one command's at a time.
  let turn = Promise.resolve();
  const inTurn = (work) => (turn = turn.then(work, work));

  await begin();
  const demo = JSON.parse(await readFile(join(folder, "demo.json"), "utf8"));
  const place = ["--wallet", wallet, "--password-file", passwordFile];
  let unsigned = 0;
  const sign = async (amount) => {
    if (unsigned === 0) {
      await writeFile(passwordFile, PASSWORD, { mode: 0o600 });
      await command("wallet", "restore", ...place, "--chain", join(folder, "chain.json"), "--words-file", join(folder, "demo.json"));
    }
    unsigned += 1;
    const file = join(scratch, `payment-${unsigned}`);
    await command("wallet", "send", ...place, "--node", url, "--unsigned", file, demo.address, String(amount));
    const { txid, hex } = await command("wallet", "sign", ...place, file);
    return { txid, hex };
  };
  return {
    port,
    /** Where it is kept. */
    folder,
    rpc,
    /** Without its nodes: a test says whom a page asks. */
    spec: (await readFile(join(folder, "chain.json"), "utf8")).replace(/"bootstrap":\s*\[[^\]]*\]/, '"bootstrap": []'),
    /** What opens the validators that wait for a tab. */
    links: running.output.match(/http:\S+#\/validator\?key=[0-9a-f]{64}/g) ?? [],
    /** Pays from the wallet that makes the devnet's payments, and waits until that is final. */
    async pay(address, amount) {
      const faucet = ["--wallet", join(scratch, "faucet"), "--password-file", passwordFile];
      await writeFile(passwordFile, PASSWORD, { mode: 0o600 });
      await command("wallet", "restore", ...faucet, "--chain", join(folder, "chain.json"), "--words-file", join(folder, "faucet.json"));
      const send = () => command("wallet", "send", ...faucet, "--node", url, "--wait", address, String(amount));
      // The devnet may have spent the same coin a moment before.
      await send().catch(send);
    },
    /** An address with 1,000 TIME from the start. */
    demo: demo.address,
    /** Its recovery words. */
    words: demo.words,
    peers: Array.from({ length: validators }, (_, at) => `ws://127.0.0.1:${port + at}/p2p`),
    url,
    /** A payment of the demo wallet to itself, signed and not sent: hexadecimal, for each call another one. */
    signed: (amount) => inTurn(() => sign(amount)),
    /** The seed of a node's operator key, in hexadecimal. */
    operatorKey: async (at) => (await readFile(join(folder, `node-${at}`, "operator.key"), "utf8")).trim(),
    /** The seed of an operator key that no node has. */
    browserKey: async (at) => (await readFile(join(folder, `browser-${at}`, "operator.key"), "utf8")).trim(),
    /** Makes so many coins, of as many owners, by the faucet: only where no payments are made. */
    coins: async (count) => {
      const coins = process.env.TIMECOIN_COINS ?? timecoin.replace(/timecoin([^/\\]*)$/, "coins$1");
      await run(coins, [folder, url, String(count)]);
    },
    /** Ends one node for good, without a word. */
    kill(at) {
      const pid = new RegExp(`:${port + at}\\b.*process (\\d+)`).exec(running.output)?.[1];
      if (pid === undefined) throw new Error(`no process of node ${at} in:\n${running.output}`);
      process.kill(Number(pid), "SIGKILL");
    },
    /** Ends all nodes; `begin` starts them again where they were. */
    pause: () => end(running),
    begin,
    async close() {
      if (running !== undefined) await end(running);
      await rm(scratch, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
