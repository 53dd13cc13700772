/**
 * The page's side of a Worker that is replaced when it traps, hangs or vanishes. No wasm runs on this side.
 */

import type { Code } from './api.js';
import type { Dead } from './ending.js';
import { words } from './words.js';

/** The Worker is asked for a sign of life so often, */
const PING_MS = 1_000;
/** and is replaced when so many went unanswered. On a busy machine it may be late, and to end it in the middle of its work
 * costs more than to wait. */
const PINGS_MAX = 12;
/** A Worker that lives no longer than this failed at once; more than one needs that hangs from its start. */
const SHORT_MS = 20_000;
/** after so many of them in a row there is no further one. */
const SHORT_MAX = 5;
const RETRY_FIRST_MS = 250;
/** What a Worker gets to finish what it writes. */
const GRACE_MS = 1_200;

/** What a supervised Worker hears beside what its page has to say, */
export type ToSupervised = { t: 'ping' } | { t: 'stop' };
/** and says. */
export type FromSupervised = { t: 'pong' } | Dead;

/** Whose Worker it is. */
export interface Ward<To, From> {
  /** What the Worker runs, for messages. */
  name: string;
  /** Starts a Worker; kept by the caller, because bundlers want to see its address in one piece. */
  start: () => Worker;
  /** The first message to each Worker. */
  first: (restarts: number) => To;
  hear: (message: From) => void;
  /** The Worker is gone. `again`: another one is on its way. */
  lost: (again: boolean) => void;
  /** There will be no Worker any more. */
  gone: (code: Code, why: string) => void;
}

export class Supervisor<To, From extends { t: string }> {
  /** How often the Worker had to be replaced. */
  restarts = 0;
  #worker: Worker | null = null;
  #born = 0;
  #unanswered = 0;
  #short = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  readonly #pinger: ReturnType<typeof setInterval>;

  constructor(readonly ward: Ward<To, From>) {
    this.#pinger = setInterval(() => this.#ping(), PING_MS);
  }

  /** Starts the Worker. */
  launch(): void {
    this.#unanswered = 0;
    this.#born = performance.now();
    let worker: Worker;
    try {
      worker = this.ward.start();
    } catch (thrown) {
      return this.#give('cannot_run_here', `The Worker cannot be started: ${words(thrown)}.`);
    }
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromSupervised | From>) => {
      if (this.#worker === worker) this.#hear(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (this.#worker === worker) this.#replace('not_loaded', event.message || 'The Worker could not be loaded.');
    };
    this.post(this.ward.first(this.restarts));
  }

  post(message: To | ToSupervised): void {
    this.#worker?.postMessage(message);
  }

  /** The Worker will not answer for so many seconds. */
  wait(seconds: number): void {
    this.#unanswered = -seconds;
  }

  /** Ends the Worker, which hears of it that long before. */
  end(grace_ms = GRACE_MS): void {
    clearInterval(this.#pinger);
    clearTimeout(this.#retry);
    const worker = this.#worker;
    this.#worker = null;
    if (grace_ms === 0) return worker?.terminate();
    worker?.postMessage({ t: 'stop' } satisfies ToSupervised);
    setTimeout(() => worker?.terminate(), grace_ms);
  }

  #hear(message: FromSupervised | From): void {
    if (message.t === 'pong') {
      this.#unanswered = 0;
    } else if (message.t === 'dead') {
      const { code, message: why, final } = message as Dead;
      if (final) this.#give(code, why);
      else this.#replace(code, why);
    } else {
      this.ward.hear(message as From);
    }
  }

  #ping(): void {
    if (this.#worker === null) return;
    if (this.#unanswered >= PINGS_MAX) return this.#replace('crashing', `The ${this.ward.name} did not answer for ${PINGS_MAX} s.`);
    this.#unanswered += 1;
    this.post({ t: 'ping' });
  }

  /** Ends the Worker and starts another one, unless they all fail at once. */
  #replace(code: Code, why: string): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.restarts += 1;
    this.#short = performance.now() - this.#born < SHORT_MS ? this.#short + 1 : 1;
    const again = this.#short <= SHORT_MAX;
    this.ward.lost(again);
    if (!again) return this.#give(code, why);
    const wait_ms = this.#short === 1 ? 0 : RETRY_FIRST_MS * 2 ** (this.#short - 2);
    this.#retry = setTimeout(() => this.launch(), wait_ms);
  }

  #give(code: Code, why: string): void {
    this.end();
    this.ward.gone(code, why);
  }
}
