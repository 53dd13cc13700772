/** The wallet as pages see it. No secret is ever here: words and passwords live in the page that asks for them. */

import type { Answer, History, WalletAddress, Wallet, WalletStatus, WalletView } from 'timecoin';
import { describe, type NodeError } from '@/node/errors';
import { proved, type Shown } from '@/node/shown';
import { node } from './node.svelte';

const STATUS_MS = 2_000;
const HISTORY_MS = 2_000;

class WalletState {
  status = $state.raw<WalletStatus | null>(null);
  view = $state.raw<WalletView | null>(null);
  /** When the view was received, by this machine's clock. */
  viewAt = $state(0);
  addresses = $state.raw<WalletAddress[] | null>(null);
  history = $state.raw<Shown<History> | null>(null);
  problem = $state.raw<NodeError | null>(null);
  #watching: Wallet | null = null;
  #historyTimer: ReturnType<typeof setTimeout> | undefined;

  get api(): Wallet | null {
    return node.local?.wallet ?? null;
  }

  get unlocked(): boolean {
    return this.status?.unlocked === true;
  }

  /** Follows the wallet while a page that shows it is open. */
  follow(): () => void {
    const poll = (): void => void this.refresh();
    poll();
    const timer = setInterval(poll, STATUS_MS);
    return () => {
      clearInterval(timer);
      clearTimeout(this.#historyTimer);
      this.#historyTimer = undefined;
    };
  }

  /** Asks again whether there is a wallet and whether it is open. */
  async refresh(): Promise<void> {
    const api = this.api;
    if (api === null) return;
    try {
      this.status = await api.status();
      this.problem = null;
    } catch (thrown) {
      this.problem = describe(thrown);
      return;
    }
    if (!this.status.unlocked) return this.#forgetShown();
    if (this.#watching !== api) void this.#watch(api);
    if (this.addresses === null) void this.loadAddresses();
  }

  async loadAddresses(): Promise<void> {
    const api = this.api;
    if (api === null) return;
    try {
      this.addresses = await api.addresses();
    } catch (thrown) {
      this.problem = describe(thrown);
    }
  }

  async loadHistory(): Promise<void> {
    const api = this.api;
    if (api === null) return;
    try {
      const answer: Answer<History> = await api.history();
      this.history = proved(answer);
    } catch (thrown) {
      const problem = describe(thrown);
      // A scan that has just begun has no answer yet, which is no failure.
      if (!problem.retry) this.problem = problem;
    }
  }

  #forgetShown(): void {
    this.view = null;
    this.addresses = null;
    this.history = null;
  }

  async #watch(api: Wallet): Promise<void> {
    this.#watching = api;
    try {
      for await (const view of api.watch()) {
        if (!this.unlocked) break;
        this.view = view;
        this.viewAt = Date.now();
        this.#historyTimer ??= setTimeout(() => {
          this.#historyTimer = undefined;
          void this.loadHistory();
          void this.loadAddresses();
        }, this.history === null ? 0 : HISTORY_MS);
      }
    } catch (thrown) {
      this.problem = describe(thrown);
    }
    if (this.#watching === api) this.#watching = null;
  }
}

export const wallet = new WalletState();
