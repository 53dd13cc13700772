/**
 * What passes between a page, its Worker, and the Workers of other tabs.
 *
 * Every tab has a Worker. One of them holds the origin's Web Lock and runs the node; the others pass on what their pages
 * ask, over a `BroadcastChannel`. Parameters and answers stay JSON text all the way: nobody in between reads them.
 */


/** What the node is started with; the Rust side reads it. */
export interface StartOptions {
  spec: string;
  peers: string[];
  checkpoint: object | null;
  any_age: boolean;
  store: string | null;
  allow_insecure: boolean;
}

export interface Start {
  t: 'start';
  /** Name of the lock and of the channels: the same for all tabs that share a node. */
  name: string;
  options: StartOptions;
  wasm: string | null;
  /** How often the page had to start a Worker anew. */
  restarts: number;
}

/** Calls that stretch a password: costly on purpose, and nothing else runs meanwhile. */
export const SLOW: readonly string[] = ['wallet.create', 'wallet.restore', 'wallet.unlock', 'wallet.words', 'wallet.forget'];
/** Seconds that such a call is waited for: on a slow or busy machine it takes a minute. */
export const SLOW_S = 180;

/** For whichever Worker runs the node. */
export type Request =
  | { t: 'call'; id: number; method: string; params: string }
  | { t: 'cancel'; id: number }
  | { t: 'open'; id: number; topic: string; params: string }
  | { t: 'shut'; id: number }
  | { t: 'wake' };

export type Response =
  | { t: 'done'; id: number; text: string }
  | { t: 'news'; id: number; text: string }
  /** There will be no more; with a failure where there is a text. */
  | { t: 'end'; id: number; text: string | null };

export type ToWorker = Start | Request;

export type FromWorker =
  /** It will not answer for a while, because it stretches a password. */
  | { t: 'busy' }
  /** From now on this node answers: whatever is open has to be asked again. */
  | { t: 'node'; epoch: string }
  | Response;

/** Between Workers, on the channel of all. */
export type Shared =
  | { t: 'who'; tab: string; restarts: number }
  /** The node lives; said on becoming it, to whoever asks, and every second. */
  | { t: 'leader'; epoch: string }
  /** The node will say nothing for a while, because it stretches a password. */
  | { t: 'busy' }
  | { t: 'ask'; epoch: string; tab: string; request: Request };

/** To one tab's Worker, on its own channel. */
export interface Reply {
  epoch: string;
  response: Response;
}
