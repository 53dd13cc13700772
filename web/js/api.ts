/**
 * The interface between a page and its node. Made from Rust by a test of `timecoin-web`; edits are overwritten:
 * `TIMECOIN_WRITE=1 cargo test -p timecoin-web typescript`.
 *
 * Amounts are decimal strings in whole coins, heights are numbers, times are milliseconds since 1970, ids and keys are
 * lower-case hexadecimal.
 */

/** An answer with the block at which it holds. */
export interface Answer<T> {
  value: T;
  /** Height of the block at which it holds. */
  height: number;
  /** Its id. */
  block: string;
  /** Its header's time. */
  time: number;
  /** How long ago that was. */
  age_ms: number;
  /** How that block is known to be final. */
  finality: Finality;
  /** Whether `value` was proved under that block. */
  verified: boolean;
}

/** What the node is doing. */
export type State =
  /** It is being loaded, or opens its store. */
  | { kind: 'starting' }
  /** It looks for peers, or waits for the first answer. */
  | { kind: 'connecting'; peers: number }
  /** It checks the way to the newest block. */
  | { kind: 'syncing'; height: number; target: number; percent: number }
  /** The newest block that peers have is checked. */
  | { kind: 'verified' }
  /** There are peers, but no block for so long that this one may not be the newest. */
  | { kind: 'stale'; age_ms: number }
  /** No peer can be reached. */
  | { kind: 'offline'; since: number }
  /** It cannot go on. */
  | { kind: 'failed'; code: string; message: string; advice: string };

/** Where trust started. */
export interface TrustedFrom {
  height: number;
  block: string;
  age_ms: number;
  /** Whether the host vouched for it whatever its age. */
  any_age: boolean;
}

/** What is known about the finality of an answer. */
export interface Finality {
  /** Weight that signed the newest certificate checked; null where only the trusted block itself is known. */
  signed_weight: string | null;
  total_weight: string | null;
  /** Since the node started. */
  certificates_checked: number;
  trusted_from: TrustedFrom;
}

/** A final block's header. */
export interface Head {
  height: number;
  block: string;
  time: number;
  /** All coins and the pool, proved. */
  supply: string;
  proposer: string;
  view: number;
  /** Null where only the header is known. */
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

/** What a transaction does beside moving coins. */
export type Action =
  | { kind: 'transfer' }
  | { kind: 'register_masternode'; tier: Tier; class: Class; operator: string; payout: string }
  | { kind: 'retire_masternode'; masternode: string }
  | { kind: 'rotate_operator'; masternode: string; replaces: string; operator: string }
  | { kind: 'reward'; height: number };

export type Tier = 'bronze' | 'silver' | 'gold';

/** Where a masternode runs. */
export type Class = 'server' | 'browser';

/** Where a final transaction is. The index is the peer's word, the rest is proved. */
export interface Place {
  height: number;
  block: string;
  time: number;
  index: number;
}

export interface TransactionView {
  txid: string;
  /** `finalized` is proved; the phases before it are what a peer says. */
  phase: Phase;
  /** Whether it is proved to be in a final block. */
  final: boolean;
  inputs: Coin[];
  outputs: Coin[];
  fee: string;
  /** Null where there is none. */
  memo: string | null;
  /** Bytes. */
  size: number;
  expires_at: number;
  action: Action;
  at: Place | null;
}

/** `verified` only for `finalized`: the phases before it are what a peer says. */
export interface PhaseChange {
  txid: string;
  phase: Phase;
  /** Since this node handed the payment over; of others, since the subscription began. */
  after_ms: number;
  verified: boolean;
}

/** What a peer did that an honest one does not, or should not. */
export interface Evidence {
  at: number;
  /** Its node key. */
  peer: string;
  url: string;
  /** `wrong_answer`, `wrong_proof`, `wrong_head`, `forged_certificate`, `stale_head`, `withheld` or `fork`. */
  kind: string;
  height: number | null;
  detail: string;
  /** Whether no honest peer does it: the session was ended. */
  proved: boolean;
}

export type PeerState = 'dialling' | 'connected' | 'waiting' | 'banned';

export interface PeerView {
  url: string;
  /** Its node key, once it proved that it holds it. */
  key: string | null;
  state: PeerState;
  /** How far it says it is. */
  height: number | null;
  rtt_ms: number | null;
  /** When it is dialled next. */
  retry_at: number | null;
}

export interface Signer {
  key: string;
  weight: string;
}

/** What makes a block final: who signed it. */
export interface Certificate {
  view: number;
  signers: Signer[];
  signed_weight: string;
  total_weight: string;
}

export interface BlockView {
  height: number;
  block: string;
  time: number;
  proposer: string;
  view: number;
  supply: string;
  transactions: TransactionView[];
  /** Null for genesis, which nobody signs. */
  certificate: Certificate | null;
  previous: string;
}

export type Status = 'active' | 'retired' | 'ejected';

export interface Masternode {
  id: string;
  operator: string;
  owner: string;
  payout: string;
  tier: Tier;
  class: Class;
  /** In the set that signs the next block; null outside it. */
  weight: string | null;
  status: Status;
  /** When the collateral of one that is retired or ejected is free; null where it is active. */
  unlock_at: number | null;
  registered_at: number;
}

/** A payment's finality, for whoever checks it offline. */
export interface ReceiptForms {
  txid: string;
  json: string;
  /** For QR codes. */
  text: string;
  /** Bytes, in hexadecimal. */
  hex: string;
}

/** Why the store does not keep what it should. */
export interface StorageProblem {
  code: string;
  message: string;
}

export interface Storage {
  problem: StorageProblem | null;
}

export interface Nothing {
}

export interface AddressParams {
  address: string;
}

export interface BlockParams {
  height?: number | null;
  block?: string | null;
}

export interface TransactionParams {
  txid: string;
}

export interface SubmitParams {
  /** The signed transaction's bytes. */
  hex: string;
}

export interface WaitParams {
  txid: string;
  timeout_ms?: number | null;
}

/** Whether there is a wallet, and whether it is open. */
export interface WalletStatus {
  /** There is one. */
  exists: boolean;
  /** Its keys are at hand. */
  unlocked: boolean;
  /** The person has shown to have the words. */
  backed_up: boolean;
  /** When it locks. */
  lock_at: number | null;
}

/** One of the wallet's addresses. */
export interface WalletAddress {
  /** The address. */
  address: string;
  /** What the person calls it. */
  label: string;
  /** Whether it has ever received something. */
  used: boolean;
  /** What it holds; null while that is not proved. */
  amount: string | null;
}

/** How far a long scan is. */
export interface Scanning {
  /** The last block looked at. */
  height: number;
  /** The last to look at. */
  target: number;
}

/** What became of a payment that is not final: it may still be, or its time is over, or its coins went elsewhere. */
export type Fate = 'pending' | 'expired' | 'displaced';

/** A payment that is on its way, or that failed not long ago. */
export interface OutgoingPayment {
  /** Its id. */
  txid: string;
  /** Whom it pays. */
  to: string[];
  /** What they get. */
  amount: string;
  /** The fee. */
  fee: string;
  /** When it was signed. */
  sent_at: number;
  /** No block of a later time may contain it. */
  expires_at: number;
  /** What became of it. */
  fate: Fate;
}

/** Why the wallet is not up to date. */
export interface WalletProblem {
  /** A code of the table of errors. */
  code: string;
  /** The facts. */
  message: string;
  /** What to do. */
  advice: string;
}

/** What the wallet holds. Null where that is not proved yet. */
export interface WalletView {
  /** The block as of which it is. */
  height: number;
  /** Everything, proved complete. */
  total: string | null;
  /** Free to spend. */
  spendable: string | null;
  /** Promised in payments that are on their way. */
  pending: string | null;
  /** Collateral. */
  locked: string | null;
  /** Whether the total was proved in this browser. */
  verified: boolean;
  /** How old that block is. */
  age_ms: number | null;
  /** How far a long scan is. */
  scanning: Scanning | null;
  /** Whether the history has every payment up to that block. */
  complete: boolean;
  /** Payments that are not final. */
  outgoing: OutgoingPayment[];
  /** Why it is not up to date; null where it is, or soon will be. */
  problem: WalletProblem | null;
}

/** What a payment of the history was. */
export type EntryKind = 'received' | 'sent' | 'to_self' | 'reward' | 'masternode';

/** One payment of the history. */
export interface HistoryEntry {
  /** Its id. */
  txid: string;
  /** Its block. */
  height: number;
  /** Time of the block. */
  time: number;
  /** What it was. */
  kind: EntryKind;
  /** What it changed, without the fee; negative where it went out. */
  amount: string;
  /** The fee, where the wallet alone paid it. */
  fee: string | null;
  /** Whom the wallet paid. */
  counterparties: string[];
  /** The note, where it is text. */
  memo: string | null;
}

/** The history, newest first. */
export interface History {
  /** The first block looked at. */
  from: number;
  /** Whether every block from there on was looked at. */
  complete: boolean;
  /** Whether the wallet may be older than the first block looked at. */
  older: boolean;
  /** The payments. */
  entries: HistoryEntry[];
}

/** Whom to pay, and how. */
export interface Payment {
  /** The address. */
  to: string;
  /** In whole coins, or `max`. */
  amount: string;
  /** A note that everyone can read. */
  memo?: string | null;
  /** Grains per 1,000 bytes; the least where it is left out. */
  fee_per_kb?: number | null;
  /** 32 hexadecimal digits that name this payment: asked for twice under one name, it is paid once. */
  id?: string | null;
}

/** What a payment would cost. */
export interface Quote {
  /** What the recipient gets. */
  amount: string;
  /** The fee. */
  fee: string;
  /** Both. */
  total: string;
  /** Coins spent. */
  inputs: number;
  /** Bytes of the signed transaction. */
  size: number;
}

/** A payment that is on its way. */
export interface Sent {
  txid: string;
}

/**
 * What to do with a masternode. One that is not named is registered: this locks its collateral. One that is named gets the
 * operator that is named, or retires where none is.
 */
export interface MasternodeChange {
  /** Its id. */
  masternode?: string | null;
  /** One of the wallet's addresses, which will own it and be paid its rewards. */
  owner?: string | null;
  /** `bronze`, `silver` or `gold`. */
  tier?: string | null;
  /** `server` or `browser`. */
  class?: string | null;
  /** The operator's public key. */
  operator?: string | null;
  /** Its consent to the owner. */
  operator_proof?: string | null;
  /** 32 hexadecimal digits that name this change: under one name it is made once. Without a name it is only priced. */
  id?: string | null;
}

/** A change of a masternode that was priced or made. */
export interface Changed {
  /** What it costs; `amount` is the collateral that it locks. Null where it was made before. */
  quote: Quote | null;
  /** The transaction, once it is on its way. */
  txid: string | null;
}

/** Recovery words, in order. */
export interface Words {
  words: string[];
}

/** One word of the backup check. */
export interface Position {
  /** Its place, counted from 1. */
  at: number;
  /** What was typed. */
  word: string;
}

export interface PasswordParams {
  password: string;
}

export interface RestoreParams {
  /** In order, separated by spaces. */
  words: string;
  password: string;
  /** The block at which its history begins; the first where it is left out. */
  from?: number | null;
}

export interface BackupParams {
  positions: Position[];
}

export interface UnlockParams {
  password: string;
  /** At most a day. */
  minutes?: number | null;
}

export interface LabelParams {
  label?: string | null;
}

/** What can be called. */
export interface Methods {
  /** The newest verified block: at once where there is one from before, with its age. */
  'head': { params: Nothing; answer: Answer<Head> };
  /** Everything an address owns. */
  'balance': { params: AddressParams; answer: Answer<Balance> };
  /** Every coin of an address. */
  'coins': { params: AddressParams; answer: Answer<Coin[]> };
  /** A block by height or id. */
  'block': { params: BlockParams; answer: Answer<BlockView> };
  /** A transaction: proved where it is final, a peer's word where it is pending. */
  'transaction': { params: TransactionParams; answer: Answer<TransactionView> };
  /** Every masternode. */
  'masternodes': { params: Nothing; answer: Answer<Masternode[]> };
  /** Hands a signed transaction to peers; a second time does no harm. */
  'submit': { params: SubmitParams; answer: string };
  /** The transaction, once it is proved final. */
  'wait_final': { params: WaitParams; answer: Answer<TransactionView> };
  /** The receipt of a final payment. */
  'receipt': { params: TransactionParams; answer: ReceiptForms };
  /** Whether the store keeps what it should. */
  'storage': { params: Nothing; answer: Storage };
  /** Whether there is a wallet, and whether it is open. */
  'wallet.status': { params: Nothing; answer: WalletStatus };
  /** Makes a wallet, unlocked; gives its words. */
  'wallet.create': { params: PasswordParams; answer: Words };
  /** Brings a wallet back from its words, unlocked. */
  'wallet.restore': { params: RestoreParams; answer: null };
  /** Checks some words against those that were to be written down. */
  'wallet.confirm_backup': { params: BackupParams; answer: null };
  /** Opens the wallet for a while. */
  'wallet.unlock': { params: UnlockParams; answer: null };
  /** Wipes the keys from memory. */
  'wallet.lock': { params: Nothing; answer: null };
  /** The words, for the password. */
  'wallet.words': { params: PasswordParams; answer: Words };
  /** Removes the wallet from this browser. */
  'wallet.forget': { params: PasswordParams; answer: null };
  /** The address to be paid at. */
  'wallet.address': { params: Nothing; answer: string };
  /** A further address. */
  'wallet.new_address': { params: LabelParams; answer: string };
  /** Every address given out or used. */
  'wallet.addresses': { params: Nothing; answer: WalletAddress[] };
  /** What the wallet holds. */
  'wallet.view': { params: Nothing; answer: WalletView };
  /** Every payment, newest first. */
  'wallet.history': { params: Nothing; answer: Answer<History> };
  /** What a payment would cost. */
  'wallet.quote': { params: Payment; answer: Quote };
  /** Pays. Asked for twice under one `id`, it pays once. */
  'wallet.send': { params: Payment; answer: Sent };
  /**
   * Registers a masternode, rotates its operator or retires it; without an `id` it says what that would cost. Asked for
   * twice under one `id`, it is done once.
   */
  'wallet.masternode': { params: MasternodeChange; answer: Changed };
}

/** Calls that are not repeated by themselves: a second one would not be the same. */
export const ONCE: readonly string[] = ['wallet.create', 'wallet.restore', 'wallet.new_address'];

/** What can be subscribed to. */
export interface Topics {
  /** What the node is doing: now, and whenever that changes. */
  'state': { params: Nothing; news: State };
  /** The newest verified block: now, and every newer one. A slow reader gets the newest. */
  'heads': { params: Nothing; news: Answer<Head> };
  /** All peers: now, and at most once a second when something about them changed. */
  'peers': { params: Nothing; news: PeerView[] };
  /** What peers did wrong: what is kept, the oldest first, and what happens from now on. */
  'evidence': { params: Nothing; news: Evidence };
  /** What the wallet holds: now, and whenever that changes, while it is unlocked. */
  'wallet': { params: Nothing; news: WalletView };
  /** Where a transaction is on its way, until it is final. */
  'phases': { params: TransactionParams; news: PhaseChange };
}

export { ERRORS, type Code } from './codes.js';
