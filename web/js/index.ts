/**
 * TimeCoin's light node: verifies finality, balances and payments in the page, and trusts no server.
 *
 * The node runs in a Worker, one for all tabs of an origin; this side is plain JavaScript. Nothing runs on import.
 */

import { Client } from './client.js';
import { failure, TimeCoinError } from './error.js';
import { NODE } from './generated/build.js';
import { lightNode, type BuildInfo, type LightNode } from './node.js';
import { lacking, probe } from './probe.js';
import type { Checkpoint } from './verifier.js';

export type {
  Action,
  Answer,
  Balance,
  BlockView,
  Certificate,
  Class,
  Code,
  Coin,
  Evidence,
  Finality,
  Head,
  Masternode,
  PeerState,
  PeerView,
  Phase,
  PhaseChange,
  Place,
  Signer,
  State,
  Status,
  StorageProblem,
  Tier,
  TransactionView,
  TrustedFrom,
} from './api.js';
export { ERRORS } from './api.js';
export type { BuildInfo, LightNode, NodeInfo, Receipt } from './node.js';
export type {
  History,
  HistoryEntry,
  MasternodeChange,
  OutgoingPayment,
  Payment,
  Position,
  Quote,
  Wallet,
  WalletAddress,
  WalletProblem,
  WalletStatus,
  WalletView,
} from './wallet.js';
export { paymentId } from './wallet.js';
export type { Lack, ProbeResult } from './probe.js';
export type { Checkpoint } from './verifier.js';
export { probe, TimeCoinError };

export interface ConnectOptions {
  /** The chain spec, as JSON. The blocks it names are trusted: its genesis and its checkpoints. */
  spec: string;
  /** WebSocket URLs of peers, dialled whatever they are; those of the spec are dialled, too. */
  peers?: readonly string[];
  /** A block to trust beside those of the spec. */
  checkpoint?: Checkpoint;
  /**
   * Vouches for what is trusted whatever its age. Without this it may be two thirds of the unbonding period old: the keys
   * of validators long gone may have been sold.
   */
  anyAge?: boolean;
  /** Name of the database; by the chain where it is left out. */
  store?: string;
  /** Where the Worker's script is, if not beside this module. */
  workerUrl?: URL | string;
  /** Where the `.wasm` file is, if not beside the Worker's script. */
  wasmUrl?: URL | string;
}

/**
 * Starts the light node, or joins the one that another tab runs. Resolves once it answers: what it has stored at once, the
 * rest as soon as it has peers. Rejects where no node can run, or the chain spec is none.
 */
export async function connect(options: ConnectOptions): Promise<LightNode> {
  const missing = lacking();
  if (missing.length > 0) throw failure('cannot_run_here', missing.map(({ why }) => why).join(' '));
  const { spec, peers = [], checkpoint = null, anyAge = false, store = null, workerUrl, wasmUrl } = options;
  const client = new Client({
    name: `timecoin ${store ?? (await chainName(spec))}`,
    options: {
      spec,
      peers: [...peers],
      checkpoint,
      any_age: anyAge,
      store,
      // What a page from `https:` could not open anyway.
      allow_insecure: location.protocol !== 'https:',
    },
    wasm: wasmUrl === undefined ? null : new URL(wasmUrl, document.baseURI).href,
    start: () =>
      workerUrl === undefined
        ? new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
        : new Worker(workerUrl, { type: 'module' }),
  });
  await client.ready;
  return lightNode(client, NODE);
}

/** Which build this is: the hash is the payload's, and the same for everyone who builds these sources. */
export async function buildInfo(): Promise<BuildInfo> {
  return NODE;
}

/** Tabs with the same chain share a node, however their specs are written. */
async function chainName(spec: string): Promise<string> {
  let consensus: unknown;
  try {
    consensus = (JSON.parse(spec) as { consensus?: unknown }).consensus;
  } catch {
    throw failure('chain_spec', 'The chain spec is not JSON.');
  }
  const bytes = new TextEncoder().encode(JSON.stringify(consensus ?? null));
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(hash.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
