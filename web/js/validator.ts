/**
 * TimeCoin's full validator in a page: it validates every block, proposes, votes, and never signs twice.
 *
 * The node runs in a Worker of its own, from the origin's database; this side is plain JavaScript. A Worker that traps or
 * hangs is replaced, and goes on from what it has stored. A page that is hidden away or frozen leaves, and comes back when it is
 * shown again. Nothing runs on import.
 */

import type { Class, Code, Status, Tier } from './api.js';
import { failure, TimeCoinError } from './error.js';
import { VALIDATOR } from './generated/build.js';
import type { BuildInfo } from './node.js';
import { nfkd, startWorker, wasmOf, type WorkerPlace } from './validator-keys.js';
import { lacking } from './probe.js';
import { stream } from './stream.js';
import { Supervisor } from './supervisor.js';

export { operatorKeys, type OperatorConsent, type OperatorKey, type OperatorKeys } from './validator-keys.js';
export { TimeCoinError };

/** What a Worker gets to stop by itself. */
const GRACE_MS = 2_000;

export interface ValidatorOptions extends WorkerPlace {
  /** The chain spec, as JSON. */
  spec: string;
  /** WebSocket URLs of peers; two at least, so that none can keep this validator from the others. */
  peers: readonly string[];
  /** One of `operatorKeys()`, */
  operator?: string;
  /** and its password; */
  password?: string;
  /** or the seed of an operator key, in the clear: 64 hexadecimal digits. */
  operatorKey?: string;
  /**
   * That the key in the clear was made for this database and has never signed. Said of any other key it can lose the collateral; without
   * it, a validator without its memory stays silent until it is sure.
   */
  unused?: boolean;
  /** Name of the database; by the chain and the key where it is left out. */
  store?: string;
}

/** A validator as its page sees it. Weights are decimal strings, times milliseconds since 1970. */
export interface ValidatorStatus {
  /** `suspended`: the page is frozen or hidden away; nothing is signed until it is back. */
  stage: { kind: 'starting' } | { kind: 'running' } | { kind: 'suspended' } | { kind: 'stopped' } | { kind: 'failed'; code: Code; message: string };
  /** The newest final block here. */
  height: number | null;
  block: string | null;
  view: number | null;
  step: 'unstarted' | 'preprepare' | 'prepare' | 'commit' | 'decided' | null;
  /** Whether the key votes in the set that signs the next block, and with what weight of what. */
  member: boolean;
  weight: string;
  total_weight: string;
  /** While it must not sign, and up to which height. `listening`: that height is still being learned. */
  quarantine: { reason: 'memory_missing' | 'rolled_back'; until: number; listening: boolean } | null;
  /** The height of a vote by this key that was signed elsewhere: nothing is signed here any more. */
  elsewhere: number | null;
  /** Votes signed by this Worker. */
  votes_signed: number;
  last_vote_at: number | null;
  /** Of the blocks that became final here while the key was a member: whose certificate has its vote, and whose has not. */
  certified: number;
  missed: number;
  /** Final blocks that this key proposed. */
  proposed: number;
  /** The masternode that the key votes for; null where the registry has none. */
  masternode: { id: string; tier: Tier; class: Class; status: Status; unlock_at: number | null; payout: string } | null;
  /** Certificates of this epoch that carry the key's signature, of so many that the chain has; null outside the set. */
  epoch: { signed: number; of: number } | null;
  /** What rewards paid to the masternode's payout address in the blocks that became final here. */
  rewarded: string;
  /** Peers with a session, and the round trip where it was measured. */
  relays: { url: string; height: number; rtt_ms: number | null }[];
  /** Payments that wait for a block. */
  pending: number;
  /** How much of the coins is in the store, in percent, while some are still being fetched from peers: it votes on proofs till then. */
  filled: number | null;
}

export interface ValidatorStart {
  t: 'start';
  options: {
    spec: string;
    peers: string[];
    operator: string | null;
    password: string | null;
    operator_key: string | null;
    unused: boolean;
    store: string | null;
    allow_insecure: boolean;
  };
  /** Whether another Worker of this page may still hold the key. */
  again: boolean;
  wasm: string | null;
}

export type FromValidator =
  | { t: 'operator'; operator: string }
  | { t: 'status'; status: ValidatorStatus };

/** A validator that runs in this page. */
export interface Validator {
  /** The public half of its operator key. */
  readonly operator: string;
  /** How often its Worker had to be replaced. */
  readonly restarts: number;
  /** The newest status. */
  readonly status: ValidatorStatus;
  /** Every change of it; ends with the validator. */
  changes(): AsyncIterable<ValidatorStatus>;
  /** Resolves once nothing is signed any more. */
  stop(): Promise<void>;
  buildInfo(): BuildInfo;
}

/**
 * Starts a validator. Resolves once its Worker holds the key's lock; rejects where none can run here, or another tab of this
 * browser votes with the key.
 */
export function validate(options: ValidatorOptions): Promise<Validator> {
  const missing = lacking();
  if (missing.length > 0) return Promise.reject(failure('cannot_run_here', missing.map(({ why }) => why).join(' ')));
  const running = new Running(options);
  return running.begun.then(() => running);
}

const STARTING: ValidatorStatus = {
  stage: { kind: 'starting' },
  height: null,
  block: null,
  view: null,
  step: null,
  member: false,
  weight: '0',
  total_weight: '0',
  quarantine: null,
  elsewhere: null,
  votes_signed: 0,
  last_vote_at: null,
  certified: 0,
  missed: 0,
  proposed: 0,
  masternode: null,
  epoch: null,
  rewarded: '0',
  relays: [],
  pending: 0,
  filled: null,
};

class Running implements Validator {
  readonly begun: Promise<void>;
  #begin!: () => void;
  #refuse!: (failure: Error) => void;
  #stopped!: () => void;
  readonly #end = new Promise<void>((resolve) => (this.#stopped = resolve));

  operator = '';
  status: ValidatorStatus = STARTING;
  #over = false;
  #suspended = false;
  /** Workers that this page has started for the key. */
  #workers = 0;
  #restarts = 0;
  #listeners = new Set<{ push: (status: ValidatorStatus) => void; end: () => void }>();
  #supervisor!: Supervisor<ValidatorStart, FromValidator>;
  readonly #options: ValidatorOptions;
  readonly #unwatch: () => void;

  constructor(options: ValidatorOptions) {
    this.#options = options;
    this.begun = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#refuse = reject;
    });
    this.#unwatch = lifecycle(
      (grace_ms) => this.#suspend(grace_ms),
      () => this.#resume(),
    );
    this.#launch();
  }

  #launch(): void {
    const { spec, peers, operator, password, operatorKey, unused = false, store } = this.#options;
    this.#supervisor = new Supervisor<ValidatorStart, FromValidator>({
      name: 'validator',
      start: () => startWorker(this.#options),
      first: () => {
        const again = this.#workers > 0;
        this.#workers += 1;
        return {
          t: 'start',
          options: {
            spec,
            peers: [...peers],
            operator: operator ?? null,
            password: password === undefined ? null : nfkd(password),
            operator_key: operatorKey ?? null,
            // Said once: a Worker that is replaced may have signed.
            unused: unused && !again,
            store: store ?? null,
            // What a page from `https:` could not open anyway.
            allow_insecure: location.protocol !== 'https:',
          },
          again,
          wasm: wasmOf(this.#options),
        };
      },
      hear: (message) => this.#hear(message),
      lost: (again) => {
        this.#restarts += 1;
        if (again) this.#show({ ...this.status, stage: { kind: 'starting' } });
      },
      gone: (code, message) => this.#finish(code === 'closed' ? { kind: 'stopped' } : { kind: 'failed', code, message }),
    });
    this.#supervisor.launch();
  }

  /** Ends the Worker: it signs no more, closes its store and gives the key up. */
  #suspend(grace_ms?: number): void {
    if (this.#over || this.#suspended) return;
    this.#suspended = true;
    this.#supervisor.end(grace_ms);
    this.#show({ ...this.status, stage: { kind: 'suspended' }, relays: [] });
  }

  #resume(): void {
    if (this.#over || !this.#suspended) return;
    this.#suspended = false;
    this.#show({ ...this.status, stage: { kind: 'starting' } });
    this.#launch();
  }

  get restarts(): number {
    return this.#restarts;
  }

  changes(): AsyncIterable<ValidatorStatus> {
    return stream<ValidatorStatus>('latest', ({ push, end }) => {
      const listener = { push, end };
      push(this.status);
      if (this.#over) queueMicrotask(() => end());
      else this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    });
  }

  stop(): Promise<void> {
    if (this.#suspended) this.#finish({ kind: 'stopped' });
    this.#supervisor.post({ t: 'stop' });
    // A Worker that hangs does not hear; ended, it gives up the lock.
    const late = setTimeout(() => this.#finish({ kind: 'stopped' }), GRACE_MS);
    return this.#end.finally(() => clearTimeout(late));
  }

  buildInfo(): BuildInfo {
    return VALIDATOR;
  }

  #hear(message: FromValidator): void {
    switch (message.t) {
      case 'operator':
        this.operator = message.operator;
        this.#begin();
        break;
      case 'status':
        this.#show(message.status);
        break;
    }
  }

  #finish(stage: ValidatorStatus['stage']): void {
    if (this.#over) return;
    this.#over = true;
    this.#unwatch();
    this.#supervisor.end(0);
    this.#show({ ...this.status, stage });
    for (const { end } of this.#listeners) end();
    this.#listeners.clear();
    this.#stopped();
    if (stage.kind === 'failed') this.#refuse(failure(stage.code, stage.message));
    else this.#refuse(failure('closed', 'The validator was stopped.'));
  }

  #show(status: ValidatorStatus): void {
    this.status = status;
    for (const { push } of this.#listeners) push(status);
  }
}

/** Calls `away` when the browser hides the page away or freezes it, and `back` when it is there again; returns what ends that. */
function lifecycle(away: (grace_ms?: number) => void, back: () => void): () => void {
  const watched: [EventTarget, string, () => void][] = [
    [window, 'pagehide', () => away()],
    // The Worker of a frozen page hears nothing any more, and would keep the key. What it signed is on disk, whenever it ends.
    [document, 'freeze', () => away(0)],
    [window, 'pageshow', back],
    [document, 'resume', back],
  ];
  for (const [target, event, call] of watched) target.addEventListener(event, call);
  return () => {
    for (const [target, event, call] of watched) target.removeEventListener(event, call);
  };
}
