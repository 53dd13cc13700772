/** The light node as a page sees it. */

import type {
  Answer,
  Balance,
  BlockView,
  Coin,
  Evidence,
  Head,
  Masternode,
  PeerView,
  PhaseChange,
  State,
  StorageProblem,
  TransactionView,
} from './api.js';
import type { Client } from './client.js';
import { read } from './error.js';
import { wallet, type Wallet } from './wallet.js';

export interface BuildInfo {
  version: string;
  /** Of the `.wasm` file: the same for everyone who builds these sources. */
  wasm_sha256: string;
  bytes: number;
}

export interface NodeInfo {
  /** How often a Worker trapped, hung or vanished, in all open tabs. */
  restarts: number;
  /** Whether the node runs in this tab. */
  leader: boolean;
  /** Tabs that share the node. */
  tabs: number;
  storage: {
    used: number;
    quota: number | null;
    /** Whether the browser promised not to evict it. */
    persisted: boolean;
    problem: StorageProblem | null;
  };
  build: BuildInfo;
}

export interface Receipt {
  txid: string;
  json: string;
  /** For QR codes. */
  text: string;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface LightNode {
  /** What the node is doing: now, and whenever that changes. */
  state(): AsyncIterable<State>;
  /** The newest verified block: now, and every newer one. A slow reader gets the newest. */
  heads(): AsyncIterable<Answer<Head>>;
  /** The newest verified block: at once where there is one from an earlier visit, with its age. */
  head(): Promise<Answer<Head>>;
  /** Everything an address owns, proved complete. */
  balance(address: string): Promise<Answer<Balance>>;
  /** Every coin of an address. */
  coins(address: string): Promise<Answer<Coin[]>>;
  block(heightOrId: number | string): Promise<Answer<BlockView>>;
  /** `verified` where it is final; a pending one is a peer's word. */
  transaction(txid: string): Promise<Answer<TransactionView>>;
  masternodes(): Promise<Answer<Masternode[]>>;
  /** Hands a signed transaction, in hexadecimal, to peers; a second time does no harm. Gives its id. */
  submit(hex: string): Promise<string>;
  /** The transaction, once it is proved final. */
  waitFinal(txid: string, options?: { timeout_ms?: number; signal?: AbortSignal }): Promise<Answer<TransactionView>>;
  /** Where a transaction is on its way; ends when it is proved final. */
  phases(txid: string): AsyncIterable<PhaseChange>;
  receipt(txid: string): Promise<Receipt>;
  /** What peers did wrong: what is kept, the oldest first, and what happens from now on. */
  evidence(): AsyncIterable<Evidence>;
  peers(): AsyncIterable<PeerView[]>;
  info(): Promise<NodeInfo>;
  /** Asks the browser not to evict what is stored; some ask the user. */
  persist(): Promise<boolean>;
  close(): Promise<void>;
  /** One wallet, whose keys stay in the Worker. */
  readonly wallet: Wallet;
}

export function lightNode(client: Client, build: BuildInfo): LightNode {
  return {
    state: () => client.subscribe('state', {}, 'latest'),
    heads: () => client.subscribe('heads', {}, 'latest', rising),
    head: () => client.call('head', {}),
    balance: (address) => client.call('balance', { address }),
    coins: (address) => client.call('coins', { address }),
    block: (at) => client.call('block', typeof at === 'number' ? { height: at } : { block: at }),
    transaction: (txid) => client.call('transaction', { txid }),
    masternodes: () => client.call('masternodes', {}),
    submit: (hex) => client.call('submit', { hex }),
    waitFinal: (txid, { timeout_ms, signal } = {}) => client.call('wait_final', { txid, ...(timeout_ms === undefined ? {} : { timeout_ms }) }, signal),
    phases: (txid) => client.subscribe('phases', { txid }, 'all', () => unread(({ phase, verified }) => `${phase} ${verified}`)),
    evidence: () => client.subscribe('evidence', {}, 'all', () => unread(({ at, peer, kind }) => `${at} ${peer} ${kind}`)),
    peers: () => client.subscribe('peers', {}, 'latest'),
    async receipt(txid) {
      const { json, text, hex } = await client.call('receipt', { txid });
      return { txid, json, text, bytes: Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)) };
    },
    async info() {
      return { ...read<Omit<NodeInfo, 'build'>>(await client.ask('info', {})), build };
    },
    persist: async () => (await navigator.storage?.persist?.()) ?? false,
    async close() {
      client.close();
    },
    wallet: wallet(client),
  };
}

// A node that took over from another one begins with what it knows: what was read already is left out.

function unread<T>(name: (item: T) => string): (item: T) => boolean {
  const read = new Set<string>();
  return (item) => {
    const { size } = read;
    return read.add(name(item)).size > size;
  };
}

function rising(): (head: Answer<Head>) => boolean {
  let newest = -1;
  return ({ height }) => {
    if (height <= newest) return false;
    newest = height;
    return true;
  };
}
