/** The validator of this tab, and the operator keys of this browser. It goes on while other pages of the app are shown. */

import type { OperatorKey, OperatorKeys, Validator, ValidatorStatus } from 'timecoin/validator';
import { describe, NodeError } from '@/node/errors';
import { adviceOf, operatorKeys, startValidator } from '@/node/local';
import { base } from './router.svelte';

const LOOK_MS = 2_000;

class ValidatorState {
  keys = $state.raw<OperatorKey[] | null>(null);
  /** Those keys that a tab of this browser votes with. */
  inUse = $state.raw<ReadonlySet<string>>(new Set());
  keysProblem = $state.raw<NodeError | null>(null);
  /** A key that came with a link: nowhere but in this tab's memory. */
  linked = $state<string | null>(null);
  /** Whether the key at work is that of a link, and kept nowhere. */
  byLink = $state(false);
  running = $state.raw<Validator | null>(null);
  status = $state.raw<ValidatorStatus | null>(null);
  starting = $state(false);
  problem = $state.raw<NodeError | null>(null);
  storage = $state.raw<{ used: number; quota: number | null } | null>(null);
  #api: OperatorKeys | null = null;

  /** Keeps what is shown of keys current while a page that shows them is open. */
  follow(): () => void {
    void this.loadKeys();
    const timer = setInterval(() => void this.look(), LOOK_MS);
    return () => clearInterval(timer);
  }

  async api(): Promise<OperatorKeys> {
    return (this.#api ??= await operatorKeys());
  }

  async loadKeys(): Promise<void> {
    try {
      this.keys = await (await this.api()).list();
      this.keysProblem = null;
    } catch (thrown) {
      this.keysProblem = describe(thrown);
    }
    await this.look();
  }

  /** Who votes, and how much is stored: neither is worth a word where it fails. */
  async look(): Promise<void> {
    if (document.hidden) return;
    const used = new Set<string>();
    for (const { operator } of this.keys ?? []) {
      if (await (await this.api()).inUse(operator).catch(() => false)) used.add(operator);
    }
    this.inUse = used;
    const { usage, quota } = (await navigator.storage?.estimate?.().catch(() => undefined)) ?? {};
    this.storage = usage === undefined ? null : { used: usage, quota: quota ?? null };
  }

  /** Makes a key of this browser. */
  async create(password: string): Promise<OperatorKey> {
    const made = await (await this.api()).create({ password });
    await this.loadKeys();
    return made;
  }

  /** Keeps the key of the link under a password. */
  async keep(password: string): Promise<OperatorKey | null> {
    if (this.linked === null) return null;
    const kept = await (await this.api()).add({ operatorKey: this.linked, password });
    await this.loadKeys();
    return kept;
  }

  /** Starts to validate with a key of this browser, or with that of the link. */
  async start(key: { operator: string; password: string } | null): Promise<void> {
    if (this.starting || this.running !== null) return;
    const given = key ?? (this.linked === null ? null : { operatorKey: this.linked });
    if (given === null) return;
    this.starting = true;
    this.problem = null;
    this.status = null;
    try {
      this.running = await startValidator(base, given);
      this.byLink = key === null && !(this.keys ?? []).some(({ operator }) => operator === this.running?.operator);
      void this.#follow(this.running);
      // What it stores is worth keeping: a validator that has forgotten what it signed is silent for a while.
      void navigator.storage?.persist?.().catch(() => false);
      void this.loadKeys();
    } catch (thrown) {
      this.problem = describe(thrown);
    }
    this.starting = false;
  }

  /** Leaves: resolves once nothing is signed any more. */
  async stop(): Promise<void> {
    await this.running?.stop();
    this.running = null;
    void this.loadKeys();
  }

  async #follow(running: Validator): Promise<void> {
    for await (const status of running.changes()) this.status = status;
    const stage = this.status?.stage;
    if (stage?.kind !== 'failed' || this.running !== running) return;
    this.problem = new NodeError(stage.code, stage.message, await adviceOf(stage.code));
    this.running = null;
  }
}

export const validator = new ValidatorState();
