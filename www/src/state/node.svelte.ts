/**
 * The node behind the page: the light node in this browser where it runs, and the node that serves the page.
 * Pages ask here. An answer is the light node's where it has one; otherwise it is marked as reported.
 */

import type { Balance, BlockView, Coin, Evidence, Head, LightNode, Masternode, NodeInfo, PeerView, Receipt, State, TransactionView } from 'timecoin';
import { describe, NodeError } from '@/node/errors';
import { openLocal } from '@/node/local';
import { Remote, type ReportedMasternode } from '@/node/remote';
import { proved, type ChainInfo, type ReportedBlock, type Shown } from '@/node/shown';
import { clock } from './clock.svelte';
import { base } from './router.svelte';

/** Blocks kept for the strip and the finality chart. */
export const RECENT_MAX = 100;
const EVIDENCE_MAX = 200;
/** News are shown in steps, so that twenty blocks a second do not redraw the page twenty times. */
const FLUSH_MS = 250;
const INFO_MS = 15_000;

/** What the pill says. `unverified`: the serving node answers, and nothing it says is checked. */
export type PillState = State | { kind: 'unverified' };

class NodeState {
  local = $state.raw<LightNode | null>(null);
  localState = $state.raw<State>({ kind: 'starting' });
  /** Why there is no light node here. */
  localProblem = $state.raw<NodeError | null>(null);
  head = $state.raw<Shown<Head> | null>(null);
  /** Newest first. */
  recent = $state.raw<ReportedBlock[]>([]);
  chain = $state.raw<ChainInfo | null>(null);
  chainProblem = $state.raw<NodeError | null>(null);
  evidence = $state.raw<Evidence[]>([]);
  peers = $state.raw<PeerView[]>([]);
  /** Restarts, storage and build of the light node. */
  info = $state.raw<NodeInfo | null>(null);
  /** Whether the light node answers from checked blocks: until it has caught up, the serving node is asked. */
  ready = $derived(this.localProblem === null && (this.localState.kind === 'verified' || this.localState.kind === 'stale'));
  /** Since when the serving node is out of reach. */
  lostSince = $state<number | null>(Date.now());
  everLinked = $state(false);
  readonly remote: Remote;
  #news: ReportedBlock[] = [];

  constructor() {
    this.remote = new Remote(base, (up) => this.#linked(up));
    this.remote.onBlock((block) => {
      this.#news.push(block);
      if (this.#news.length > RECENT_MAX) this.#news.shift();
    });
    setInterval(() => this.#flush(), FLUSH_MS);
    setInterval(() => void this.loadInfo(), INFO_MS);
    void this.start();
  }

  get pill(): PillState {
    if (this.localProblem === null) return this.localState;
    if (this.lostSince === null) return { kind: 'unverified' };
    if (!this.everLinked) return clock.now - this.lostSince < 5_000 ? { kind: 'connecting', peers: 0 } : { kind: 'offline', since: this.lostSince };
    return { kind: 'offline', since: this.lostSince };
  }

  get offline(): boolean {
    return this.pill.kind === 'offline' || this.pill.kind === 'failed';
  }

  /** The height up to which pages are current. */
  get height(): number | null {
    return this.head?.height ?? null;
  }

  /** Starts the light node; also the way back after it failed. */
  async start(): Promise<void> {
    this.localProblem = null;
    this.localState = { kind: 'starting' };
    try {
      const local = await openLocal(base);
      this.local = local;
      void this.loadInfo();
      void this.#follow(local.state(), (state) => (this.localState = state));
      void this.#follow(local.heads(), (head) => (this.head = proved(head)));
      void this.#follow(local.peers(), (peers) => (this.peers = peers));
      void this.#follow(local.evidence(), (event) => (this.evidence = [event, ...this.evidence].slice(0, EVIDENCE_MAX)));
    } catch (thrown) {
      this.local = null;
      this.localProblem = describe(thrown);
    }
  }

  /** A failed question about the node itself is no news: its state says more. */
  async loadInfo(): Promise<void> {
    this.info = (await this.local?.info().catch(() => null)) ?? this.info;
  }

  async block(heightOrId: number | string): Promise<Shown<BlockView>> {
    return this.#ask((local) => local.block(heightOrId).then(proved), () => this.remote.block(heightOrId));
  }

  async transaction(txid: string): Promise<Shown<TransactionView>> {
    return this.#ask((local) => local.transaction(txid).then(proved), () => this.remote.transaction(txid));
  }

  async balance(address: string): Promise<Shown<Balance>> {
    return this.#ask((local) => local.balance(address).then(proved), () => this.remote.balance(address));
  }

  async coins(address: string): Promise<Shown<Coin[]>> {
    return this.#ask((local) => local.coins(address).then(proved), () => this.remote.coins(address));
  }

  /** The proved list, with what only a node counts beside it. */
  async masternodes(): Promise<{ proved: Shown<Masternode[]> | null; reported: Shown<ReportedMasternode[]> | null }> {
    const local = this.ready ? this.local : null;
    const [checked, said] = await Promise.allSettled([local?.masternodes().then(proved), this.remote.masternodes()]);
    const list = checked.status === 'fulfilled' ? (checked.value ?? null) : null;
    if (list === null && said.status === 'rejected') throw said.reason;
    return { proved: list, reported: said.status === 'fulfilled' ? said.value : null };
  }

  async receipt(txid: string): Promise<Receipt> {
    return this.#ask((local) => local.receipt(txid), () => this.remote.receipt(txid));
  }

  /** Chain facts that are the same for all pages. */
  async loadChain(): Promise<void> {
    try {
      this.chain = await this.remote.chain();
      this.chainProblem = null;
    } catch (thrown) {
      this.chainProblem = describe(thrown);
    }
  }

  /** The light node's answer, or the serving node's where there is no light node or it could not answer. */
  async #ask<T>(fromLocal: (local: LightNode) => Promise<T>, fromRemote: () => Promise<T>): Promise<T> {
    const local = this.local;
    if (local === null || !this.ready) return fromRemote();
    try {
      return await fromLocal(local);
    } catch (thrown) {
      const problem = describe(thrown);
      // The light node knows that there is no such thing, or not yet, which is an answer.
      if (problem.code === 'not_found' || problem.code === 'not_yet') throw problem;
      return await fromRemote().catch(() => {
        throw problem;
      });
    }
  }

  async #follow<T>(news: AsyncIterable<T>, receive: (item: T) => void): Promise<void> {
    try {
      for await (const item of news) receive(item);
    } catch (thrown) {
      this.localState = { kind: 'failed', ...plain(describe(thrown)) };
    }
  }

  #linked(up: boolean): void {
    if (up) {
      this.lostSince = null;
      this.everLinked = true;
      void this.#catchUp();
    } else if (this.lostSince === null) {
      this.lostSince = Date.now();
    }
  }

  /** After a connection was made: what happened before it. */
  async #catchUp(): Promise<void> {
    await this.loadChain();
    if (this.chain === null) return;
    const known = this.recent[0]?.height ?? -1;
    const missing = Math.min(this.chain.height - known, 24);
    if (missing > 0) this.#merge(await this.remote.recent(this.chain.height, missing));
  }

  #flush(): void {
    if (this.#news.length === 0) return;
    const news = this.#news;
    this.#news = [];
    this.#merge(news);
  }

  #merge(blocks: readonly ReportedBlock[]): void {
    const byHeight = new Map(this.recent.map((block) => [block.height, block]));
    for (const block of blocks) {
      if (block.elapsed_ms !== null || !byHeight.has(block.height)) byHeight.set(block.height, block);
    }
    this.recent = [...byHeight.values()].sort((a, b) => b.height - a.height).slice(0, RECENT_MAX);
    const newest = this.recent[0];
    if (newest === undefined || this.ready || newest.height <= (this.height ?? -1)) return;
    const { height, block, time } = newest;
    this.head = { value: newest, height, block, time, as_of: Date.now(), finality: null, verified: false };
  }
}

function plain(problem: NodeError): { code: string; message: string; advice: string } {
  return { code: problem.code, message: problem.message, advice: problem.advice };
}

export const node = new NodeState();
