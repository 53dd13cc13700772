/**
 * The page's side of its Worker: calls, subscriptions, and a Worker that is replaced when it traps, hangs or vanishes.
 *
 * Whatever is open here (a call without its answer, a subscription) is asked again of the node that answers next: after a
 * restart of the Worker, and when another tab's Worker takes the node over. Calls for which a second time would not be
 * the same are rejected with `restarted` instead. No wasm runs on this side.
 */

import { ONCE, type Methods, type State, type Topics } from './api.js';
import { failure, failureOf, read, type Failed, type TimeCoinError } from './error.js';
import { SLOW_S, type FromWorker, type Request, type StartOptions, type ToWorker } from './protocol.js';
import { stream } from './stream.js';
import { Supervisor } from './supervisor.js';

interface Call {
  kind: 'call';
  request: Extract<Request, { t: 'call' }>;
  resolve: (text: string) => void;
  reject: (failure: Error) => void;
  /** Whether a node may have it. */
  sent: boolean;
  once: boolean;
}

interface Subscription {
  kind: 'subscription';
  request: Extract<Request, { t: 'open' }>;
  push: (text: string) => void;
  end: (failure?: Error) => void;
}

export interface Setup {
  name: string;
  options: StartOptions;
  /** Starts a Worker; kept by the caller, because bundlers want to see its address in one piece. */
  start: () => Worker;
  wasm: string | null;
}

export class Client {
  /** The first node answered; or there will be none. */
  readonly ready: Promise<void>;
  #begin!: () => void;
  #refuse!: (failure: Error) => void;

  readonly #supervisor: Supervisor<ToWorker, FromWorker>;
  #epoch: string | null = null;
  #open = new Map<number, Call | Subscription>();
  #next = 1;
  /** Why there is no node any more. */
  #failed: TimeCoinError | null = null;
  /** Hear of states that the Worker cannot tell. */
  #states = new Set<(state: State) => void>();

  constructor({ name, options, start, wasm }: Setup) {
    this.ready = new Promise((resolve, reject) => {
      this.#begin = resolve;
      this.#refuse = reject;
    });
    // Whoever does not wait for it hears of the failure by the state.
    this.ready.catch(() => undefined);
    for (const [target, event] of WAKING) target().addEventListener(event, this.#wake);
    this.#supervisor = new Supervisor({
      name: 'node',
      start,
      first: (restarts) => ({ t: 'start', name, options, wasm, restarts }),
      hear: (message) => this.#hear(message),
      lost: (again) => {
        this.#lost();
        if (again) this.#show({ kind: 'starting' });
      },
      gone: (code, why) => this.#give(failure(code, why), true),
    });
    this.#supervisor.launch();
  }

  get restarts(): number {
    return this.#supervisor.restarts;
  }

  async call<M extends keyof Methods>(method: M, params: Methods[M]['params'], signal?: AbortSignal): Promise<Methods[M]['answer']> {
    return read<Methods[M]['answer']>(await this.ask(method, params, signal));
  }

  /** The text of an answer, whatever the method. */
  ask(method: string, params: object, signal?: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#failed !== null) return reject(this.#failed);
      if (signal?.aborted) return reject(signal.reason);
      const id = this.#next++;
      const aborted = (): void => {
        if (this.#open.delete(id)) this.#send({ t: 'cancel', id });
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T): void => {
          signal?.removeEventListener('abort', aborted);
          then(value);
        };
      const request = { t: 'call', id, method, params: JSON.stringify(params) } as const;
      const call: Call = { kind: 'call', request, resolve: settle(resolve), reject: settle(reject), sent: false, once: ONCE.includes(method) };
      this.#open.set(id, call);
      this.#issue(call);
    });
  }

  /** News of a topic; with `filter`, for each reader those alone that it lets pass. */
  subscribe<T extends keyof Topics>(
    topic: T,
    params: Topics[T]['params'],
    keep: 'latest' | 'all',
    filter: () => (news: Topics[T]['news']) => boolean = () => () => true,
  ): AsyncIterable<Topics[T]['news']> {
    type News = Topics[T]['news'];
    return stream<News>(keep, ({ push, end }) => {
      const passes = filter();
      const read = (text: string): void => {
        const news = JSON.parse(text) as News;
        if (passes(news)) push(news);
      };
      const id = this.#next++;
      const request = { t: 'open', id, topic, params: JSON.stringify(params) } as const;
      const subscription: Subscription = { kind: 'subscription', request, push: read, end };
      const own = topic === 'state' ? (push as (state: State) => void) : null;
      if (own !== null) {
        this.#states.add(own);
        own(this.#failed === null ? { kind: 'starting' } : stateOf(this.#failed));
      }
      if (this.#failed !== null && own === null) queueMicrotask(() => end(this.#failed ?? undefined));
      this.#open.set(id, subscription);
      this.#issue(subscription);
      return () => {
        if (own !== null) this.#states.delete(own);
        if (this.#open.delete(id)) this.#send({ t: 'shut', id });
      };
    });
  }

  /** Ends the Worker; everything open fails. */
  close(): void {
    this.#give(failure('closed', 'The node was closed by the page.'), false);
    for (const [target, event] of WAKING) target().removeEventListener(event, this.#wake);
  }

  #hear(message: FromWorker): void {
    switch (message.t) {
      case 'busy':
        this.#supervisor.wait(SLOW_S);
        break;
      case 'node':
        this.#changed(message.epoch);
        break;
      case 'done': {
        const call = this.#open.get(message.id);
        if (call?.kind !== 'call') break;
        this.#open.delete(message.id);
        call.resolve(message.text);
        break;
      }
      case 'news': {
        const subscription = this.#open.get(message.id);
        if (subscription?.kind === 'subscription') subscription.push(message.text);
        break;
      }
      case 'end': {
        const subscription = this.#open.get(message.id);
        if (subscription?.kind !== 'subscription') break;
        this.#open.delete(message.id);
        subscription.end(message.text === null ? undefined : failureOf(JSON.parse(message.text) as Failed));
        break;
      }
    }
  }

  /** Another node answers from now on. */
  #changed(epoch: string): void {
    if (this.#epoch === epoch) return;
    this.#lost();
    this.#epoch = epoch;
    this.#begin();
    for (const one of this.#open.values()) this.#issue(one);
  }

  /** The node that had the open calls is gone. */
  #lost(): void {
    this.#epoch = null;
    for (const [id, one] of this.#open) {
      if (one.kind !== 'call' || !one.sent || !one.once) continue;
      this.#open.delete(id);
      one.reject(failure('restarted', 'The node was restarted while this was under way.'));
    }
  }

  #issue(one: Call | Subscription): void {
    if (this.#epoch === null) return;
    if (one.kind === 'call') one.sent = true;
    this.#supervisor.post(one.request);
  }

  #send(request: Request): void {
    if (this.#epoch !== null) this.#supervisor.post(request);
  }

  /** The page was asleep, or the network changed. */
  #wake = (): void => {
    if (!document.hidden) this.#send({ t: 'wake' });
  };

  /** There will be no node any more. */
  #give(why: TimeCoinError, shown: boolean): void {
    if (this.#failed !== null) return;
    this.#failed = why;
    this.#supervisor.end();
    this.#refuse(why);
    if (shown) this.#show(stateOf(why));
    for (const one of this.#open.values()) {
      if (one.kind === 'call') one.reject(why);
      else if (shown && one.request.topic === 'state') continue;
      else one.end(shown ? why : undefined);
    }
    this.#open.clear();
  }

  #show(state: State): void {
    for (const push of this.#states) push(state);
  }
}

/** What may mean that sockets are not what they seem. */
const WAKING: readonly [target: () => EventTarget, event: string][] = [
  [() => window, 'online'],
  [() => window, 'offline'],
  [() => window, 'pageshow'],
  [() => document, 'visibilitychange'],
  [() => document, 'resume'],
];

function stateOf({ code, message, advice }: TimeCoinError): State {
  return { kind: 'failed', code, message, advice };
}
