/**
 * The light node's interface, as the page sees it. Amounts are decimal strings in whole coins, heights are numbers,
 * times are milliseconds since 1970, ids and keys are lower-case hexadecimal.
 */

export type State =
  | { kind: 'starting' }
  | { kind: 'connecting'; peers: number }
  | { kind: 'syncing'; height: number; target: number; percent: number }
  | { kind: 'verified' }
  | { kind: 'stale'; age_ms: number }
  | { kind: 'offline'; since: number }
  | { kind: 'failed'; code: string; message: string; advice: string };

export interface Finality {
  /** Null where the block is the trusted one itself. */
  signed_weight: string | null;
  total_weight: string | null;
  certificates_checked: number;
  trusted_from: { height: number; block: string; age_ms: number; any_age: boolean };
}

/** An answer with the block at which it holds, which this browser has checked. */
export interface Answer<T> {
  value: T;
  height: number;
  block: string;
  time: number;
  age_ms: number;
  finality: Finality;
  /** Whether the value was proved under that block: a pending transaction is a peer's word. */
  verified: boolean;
}

export interface Head {
  height: number;
  block: string;
  time: number;
  supply: string;
  proposer: string;
  view: number;
  transactions: number | null;
  state_root: string;
}

/** Proved complete: no coin is left out. */
export interface Balance {
  address: string;
  amount: string;
  coins: number;
}

export interface Coin {
  txid: string;
  index: number;
  amount: string;
  address: string;
}

export type Phase = 'pending' | 'preprepare' | 'prepare' | 'commit' | 'finalized' | 'dropped';

export interface TransactionView {
  txid: string;
  phase: Phase;
  final: boolean;
  inputs: Coin[];
  outputs: Coin[];
  fee: string;
  memo: string | null;
  size: number;
  expires_at: number;
  action: unknown;
  at: { height: number; block: string; time: number; index: number } | null;
}

/** `verified` only for `finalized`: the phases before it are what a peer says. */
export interface PhaseChange {
  txid: string;
  phase: Phase;
  after_ms: number;
  verified: boolean;
}

/** What a peer did. */
export interface Evidence {
  at: number;
  peer: string;
  url: string;
  kind: string;
  height: number | null;
  detail: string;
  /** Whether no honest peer does it: the session was ended. */
  proved: boolean;
}

export interface Receipt {
  txid: string;
  json: string;
  text: string;
  bytes: Uint8Array;
}

export interface PeerView {
  url: string;
  key: string | null;
  state: 'dialling' | 'connected' | 'waiting' | 'banned';
  height: number | null;
  rtt_ms: number | null;
  retry_at: number | null;
}

export interface ProbeResult {
  ok: boolean;
  missing: { feature: string; why: string }[];
  /** What the node can do without, keeping nothing from one visit to the next. */
  limited: { feature: string; why: string }[];
}

export interface BuildInfo {
  version: string;
  wasm_sha256: string;
  bytes: number;
}

export interface NodeInfo {
  restarts: number;
  leader: boolean;
  tabs: number;
  storage: {
    used: number;
    quota: number | null;
    persisted: boolean;
    problem: null | { code: string; message: string };
  };
  build: BuildInfo;
}

export interface BlockView {
  height: number;
  block: string;
  time: number;
  proposer: string;
  view: number;
  supply: string;
  transactions: TransactionView[];
  certificate: Certificate | null;
  previous: string;
}

export interface Certificate {
  view: number;
  signers: { key: string; weight: string }[];
  signed_weight: string;
  total_weight: string;
}

export interface Masternode {
  id: string;
  operator: string;
  owner: string;
  tier: 'bronze' | 'silver' | 'gold';
  class: string;
  /** In the set that signs the next block; null outside it. */
  weight: string | null;
  status: string;
  registered_at: number;
}

export interface LightNode {
  state(): AsyncIterable<State>;
  heads(): AsyncIterable<Answer<Head>>;
  head(): Promise<Answer<Head>>;
  balance(address: string): Promise<Answer<Balance>>;
  coins(address: string): Promise<Answer<Coin[]>>;
  block(heightOrId: number | string): Promise<Answer<BlockView>>;
  transaction(txid: string): Promise<Answer<TransactionView>>;
  masternodes(): Promise<Answer<Masternode[]>>;
  submit(hex: string): Promise<string>;
  waitFinal(txid: string, options?: { timeout_ms?: number; signal?: AbortSignal }): Promise<Answer<TransactionView>>;
  phases(txid: string): AsyncIterable<PhaseChange>;
  receipt(txid: string): Promise<Receipt>;
  evidence(): AsyncIterable<Evidence>;
  peers(): AsyncIterable<PeerView[]>;
  info(): Promise<NodeInfo>;
  /** Asks the browser not to evict what is stored. */
  persist(): Promise<boolean>;
  wallet: WalletApi;
  close(): Promise<void>;
}

export interface WalletStatus {
  exists: boolean;
  unlocked: boolean;
  backed_up: boolean;
  lock_at: number | null;
}

export interface Payment {
  to: string;
  amount: string;
  memo?: string;
  fee_per_kb?: number;
  /** 32 hexadecimal digits: asked for twice under one name, it is paid once. */
  id?: string;
}

export interface Quote {
  amount: string;
  fee: string;
  total: string;
  inputs: number;
  size: number;
}

export interface WalletAddress {
  address: string;
  label: string;
  /** Whether it has ever received something. */
  used: boolean;
  /** Null while it is not proved. */
  amount: string | null;
}

/** A payment that is not final: on its way, or one that never will be. */
export interface OutgoingPayment {
  txid: string;
  to: string[];
  amount: string;
  fee: string;
  sent_at: number;
  expires_at: number;
  fate: 'pending' | 'expired' | 'displaced';
}

/** Amounts are null while they are not proved. */
export interface WalletView {
  height: number;
  total: string | null;
  spendable: string | null;
  pending: string | null;
  locked: string | null;
  verified: boolean;
  age_ms: number | null;
  scanning: { height: number; target: number } | null;
  complete: boolean;
  outgoing: OutgoingPayment[];
  problem: { code: string; message: string; advice: string } | null;
}

export interface HistoryEntry {
  txid: string;
  height: number;
  time: number;
  kind: 'received' | 'sent' | 'to_self' | 'reward' | 'masternode';
  /** What it changed, without the fee; negative where it went out. */
  amount: string;
  fee: string | null;
  /** Whom the wallet paid. */
  counterparties: string[];
  memo: string | null;
}

export interface History {
  from: number;
  complete: boolean;
  entries: HistoryEntry[];
}

/** All secrets stay in the Worker. */
export interface WalletApi {
  status(): Promise<WalletStatus>;
  create(password: string): Promise<{ words: string[] }>;
  restore(words: string, password: string, from?: number): Promise<void>;
  confirmBackup(positions: { at: number; word: string }[]): Promise<void>;
  unlock(password: string, minutes?: number): Promise<void>;
  lock(): Promise<void>;
  words(password: string): Promise<string[]>;
  forget(password: string): Promise<void>;
  address(): Promise<string>;
  newAddress(label?: string): Promise<string>;
  addresses(): Promise<WalletAddress[]>;
  watch(): AsyncIterable<WalletView>;
  history(): Promise<Answer<History>>;
  quote(payment: Payment): Promise<Quote>;
  send(payment: Payment): Promise<{ txid: string }>;
}

export interface Checkpoint {
  height: number;
  block: string;
  validators: string;
  time: number;
}

/** What a receipt proved, and what was trusted for it. */
export interface VerifiedReceipt {
  txid: string;
  outputs: { address: string; amount: string }[];
  memo: string | null;
  height: number;
  block: string;
  time: number;
  final_height: number;
  signed_weight: string | null;
  total_weight: string | null;
  anchor: Checkpoint;
  anchor_age_ms: number;
}

export interface ConnectOptions {
  spec: string;
  peers: string[];
  anyAge?: boolean;
  checkpoint?: Checkpoint;
  store?: string;
  workerUrl?: URL;
  wasmUrl?: URL;
}

export interface VerifyOptions {
  /** The chain spec: the blocks it names are trusted, its genesis and its checkpoints. */
  spec: string;
  /** Blocks trusted beside them. */
  anchors?: readonly Checkpoint[];
  now?: number;
  anyAge?: boolean;
}
