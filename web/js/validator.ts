/**
 * TimeCoin's full validator in a page: it validates every block, proposes, votes, and never signs twice.
 *
 * The node runs in a Worker of its own, from the origin's database; this side is plain JavaScript. A Worker that traps or
 * hangs is replaced, and goes on from what it has stored. Nothing runs on import.
 */

import type { Code } from './api.js';
import { failure, TimeCoinError } from './error.js';
import { VALIDATOR } from './generated/build.js';
import type { BuildInfo } from './node.js';
import { lacking } from './probe.js';
import { stream } from './stream.js';
import { Supervisor } from './supervisor.js';

export { TimeCoinError };

/** What a Worker gets to stop by itself. */
const GRACE_MS = 2_000;

export interface ValidatorOptions {
  /** The chain spec, as JSON. */
  spec: string;
  /** WebSocket URLs of peers; two at least, so that none can keep this validator from the others. */
  peers: readonly string[];
  /** The seed of the operator key: 64 hexadecimal digits. */
  operatorKey: string;
  /**
   * That this key was made for this database and has never signed. Said of any other key it can lose the collateral; without
   * it, a validator without its memory stays silent until it is sure.
   */
  unused?: boolean;
  /** Name of the database; by the chain and the key where it is left out. */
  store?: string;
  /** Where the Worker's script is, if not beside this module. */
  workerUrl?: URL | string;
  /** Where the `.wasm` file is, if not beside the Worker's script. */
  wasmUrl?: URL | string;
}

/** A validator as its page sees it. Weights are decimal strings, times milliseconds since 1970. */
export interface ValidatorStatus {
  stage: { kind: 'starting' } | { kind: 'running' } | { kind: 'stopped' } | { kind: 'failed'; code: Code; message: string };
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
  /** Votes signed by this Worker. */
  votes_signed: number;
  last_vote_at: number | null;
  /** Of the blocks that became final here while the key was a member: whose certificate has its vote, and whose has not. */
  certified: number;
  missed: number;
  /** Final blocks that this key proposed. */
  proposed: number;
  peers: number;
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
    operator_key: string;
    unused: boolean;
    store: string | null;
    allow_insecure: boolean;
  };
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
  votes_signed: 0,
  last_vote_at: null,
  certified: 0,
  missed: 0,
  proposed: 0,
  peers: 0,
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
  #listeners = new Set<{ push: (status: ValidatorStatus) => void; end: () => void }>();
  readonly #supervisor: Supervisor<ValidatorStart, FromValidator>;

  constructor({ spec, peers, operatorKey, unused = false, store, workerUrl, wasmUrl }: ValidatorOptions) {
    this.begun = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#refuse = reject;
    });
    this.#supervisor = new Supervisor({
      name: 'validator',
      start: () =>
        workerUrl === undefined
          ? new Worker(new URL('./validator-worker.js', import.meta.url), { type: 'module' })
          : new Worker(workerUrl, { type: 'module' }),
      first: (restarts) => ({
        t: 'start',
        options: {
          spec,
          peers: [...peers],
          operator_key: operatorKey,
          // Said once: a Worker that is replaced may have signed.
          unused: unused && restarts === 0,
          store: store ?? null,
          // What a page from `https:` could not open anyway.
          allow_insecure: location.protocol !== 'https:',
        },
        wasm: wasmUrl === undefined ? null : new URL(wasmUrl, document.baseURI).href,
      }),
      hear: (message) => this.#hear(message),
      lost: (again) => {
        if (again) this.#show({ ...this.status, stage: { kind: 'starting' } });
      },
      gone: (code, message) => this.#finish(code === 'closed' ? { kind: 'stopped' } : { kind: 'failed', code, message }),
    });
    this.#supervisor.launch();
  }

  get restarts(): number {
    return this.#supervisor.restarts;
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
