/** The wallet as a page sees it. Its keys are in the Worker and stay there. */

import type {
  Answer,
  History,
  HistoryEntry,
  MasternodeChange,
  OutgoingPayment,
  Payment,
  Position,
  Quote,
  Sent,
  WalletAddress,
  WalletProblem,
  WalletStatus,
  WalletView,
} from './api.js';
import type { Client } from './client.js';

export type { History, HistoryEntry, MasternodeChange, OutgoingPayment, Payment, Position, Quote, Sent, WalletAddress, WalletProblem, WalletStatus, WalletView };

export interface Wallet {
  status(): Promise<WalletStatus>;
  /** Makes a wallet, unlocked. Its words are given once; later only for the password. */
  create(password: string): Promise<{ words: string[] }>;
  /**
   * Brings a wallet back from its words, unlocked. The history begins at block `from`; for coins of earlier blocks peers
   * are asked about its addresses.
   */
  restore(words: string, password: string, from?: number): Promise<void>;
  /** Checks at least three words, by their places from 1. */
  confirmBackup(positions: Position[]): Promise<void>;
  /** Opens the wallet for so many minutes, by the clock: a page that slept finds it locked. */
  unlock(password: string, minutes?: number): Promise<void>;
  lock(): Promise<void>;
  words(password: string): Promise<string[]>;
  /** Removes the wallet from this browser. */
  forget(password: string): Promise<void>;
  /** The address to be paid at. */
  address(): Promise<string>;
  newAddress(label?: string): Promise<string>;
  addresses(): Promise<WalletAddress[]>;
  /** What the wallet holds: now, and whenever that changes, while it is unlocked. A slow reader gets the newest. */
  watch(): AsyncIterable<WalletView>;
  history(): Promise<Answer<History>>;
  quote(payment: Payment): Promise<Quote>;
  /** Pays. Asked for again under the same `id`, as after a failure, it does not pay a second time. */
  send(payment: Payment): Promise<Sent>;
  /** What a change of a masternode costs; `amount` is the collateral that it locks. */
  quoteMasternode(change: MasternodeChange): Promise<Quote>;
  /** Registers a masternode, gives one another operator, or retires one; under one `id`, once. */
  changeMasternode(change: MasternodeChange): Promise<Sent>;
}

/** A name that a payment gets before anybody hears of it. */
export function paymentId(): string {
  return crypto.randomUUID().replaceAll('-', '');
}

/** The same characters can be other code points on another system. The Worker leaves this to the browser. */
function nfkd(text: string): string {
  return text.normalize('NFKD');
}

export function wallet(client: Client): Wallet {
  return {
    status: () => client.call('wallet.status', {}),
    create: (password) => client.call('wallet.create', { password: nfkd(password) }),
    async restore(words, password, from) {
      await client.call('wallet.restore', { words: nfkd(words), password: nfkd(password), ...(from === undefined ? {} : { from }) });
    },
    async confirmBackup(positions) {
      await client.call('wallet.confirm_backup', { positions });
    },
    async unlock(password, minutes) {
      await client.call('wallet.unlock', { password: nfkd(password), ...(minutes === undefined ? {} : { minutes }) });
    },
    async lock() {
      await client.call('wallet.lock', {});
    },
    words: async (password) => (await client.call('wallet.words', { password: nfkd(password) })).words,
    async forget(password) {
      await client.call('wallet.forget', { password: nfkd(password) });
    },
    address: () => client.call('wallet.address', {}),
    newAddress: (label) => client.call('wallet.new_address', { ...(label === undefined ? {} : { label }) }),
    addresses: () => client.call('wallet.addresses', {}),
    watch: () => client.subscribe('wallet', {}, 'latest'),
    history: () => client.call('wallet.history', {}),
    quote: (payment) => client.call('wallet.quote', payment),
    // Under a name of its own the call may be repeated by itself when the Worker is restarted in the middle of it.
    send: (payment) => client.call('wallet.send', { id: paymentId(), ...payment }),
    // Without a name it is priced, and with one it is made.
    quoteMasternode: async ({ id: _, ...change }) => (await client.call('wallet.masternode', change)).quote as Quote,
    changeMasternode: async (change) => ({ txid: (await client.call('wallet.masternode', { id: paymentId(), ...change })).txid as string }),
  };
}
