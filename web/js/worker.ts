/**
 * A tab's Worker. One Worker of the origin holds the lock and runs the node; the others pass on what their pages ask.
 *
 * The lock is held here, not in the page: a Worker that is ended gives it up at once, whoever ended it. A holder that is
 * frozen or hangs says nothing, and after a few seconds another Worker takes the lock away.
 */

import init, { LightNode } from './generated/timecoin_web.js';
import type { Code } from './api.js';
import { dead, end, isOver, panicked, tell, trapped } from './ending.js';
import { SLOW, SLOW_S, type FromWorker, type Reply, type Request, type Response, type Shared, type Start, type ToWorker } from './protocol.js';
import type { FromSupervised, ToSupervised } from './supervisor.js';
import { words } from './words.js';

/** The node says that it lives so often; */
const BEAT_MS = 1_000;
/** without a word for so many beats it is taken over. */
const BEATS_MAX = 5;
/** Two that take over at once would take it from each other. */
const SPREAD_MS = 400;
/** Tabs that are gone are looked for every so many beats. */
const SWEEP_BEATS = 5;

/** Runs the node, for this tab and the others. */
class Leader {
  readonly epoch = crypto.randomUUID();
  /** What is open: by tab and id, the node's own id. */
  readonly #calls = new Map<string, number>();
  readonly #subscriptions = new Map<string, number>();
  #next = 1;

  constructor(
    readonly node: LightNode,
    readonly tab: Tab,
  ) {}

  /** Serves a request; `tab` is null for this Worker's own page. */
  serve(tab: string | null, request: Request, reply: (response: Response) => void): void {
    const key = (id: number): string => `${tab ?? ''} ${id}`;
    switch (request.t) {
      case 'call': {
        const { id, method, params } = request;
        if (method === 'info') {
          void this.#info(tab === null).then((text) => reply({ t: 'done', id, text }));
          break;
        }
        if (SLOW.includes(method)) this.tab.busy();
        const own = this.#next++;
        this.#calls.set(key(id), own);
        this.node.call(own, method, params).then((text: string) => {
          this.#calls.delete(key(id));
          reply({ t: 'done', id, text });
        }, trapped);
        break;
      }
      case 'cancel': {
        const own = this.#calls.get(key(request.id));
        if (own !== undefined) this.node.cancel(own);
        break;
      }
      case 'open': {
        const { id, topic, params } = request;
        const push = (text: string | undefined): void => {
          if (text !== undefined) return reply({ t: 'news', id, text });
          this.#shut(key(id));
          reply({ t: 'end', id, text: null });
        };
        try {
          this.#subscriptions.set(key(id), this.node.subscribe(topic, params, push));
        } catch (thrown) {
          if (typeof thrown !== 'string') throw thrown;
          reply({ t: 'end', id, text: thrown });
        }
        break;
      }
      case 'shut':
        this.#shut(key(request.id));
        break;
      case 'wake':
        this.node.wake();
        break;
    }
  }

  #shut(key: string): void {
    const own = this.#subscriptions.get(key);
    this.#subscriptions.delete(key);
    if (own !== undefined) this.node.unsubscribe(own);
  }

  /** Ends what tabs left open that are gone. */
  async sweep(): Promise<void> {
    const tabs = await this.tab.others();
    const isGone = (key: string): boolean => !key.startsWith(' ') && !tabs.has(key.slice(0, key.indexOf(' ')));
    for (const key of [...this.#subscriptions.keys()].filter(isGone)) this.#shut(key);
    for (const [key, own] of [...this.#calls].filter(([key]) => isGone(key))) {
      this.#calls.delete(key);
      this.node.cancel(own);
    }
  }

  async #info(leader: boolean): Promise<string> {
    const [tabs, estimate, persisted, storage] = await Promise.all([
      this.tab.others(),
      navigator.storage?.estimate?.().catch(() => null),
      navigator.storage?.persisted?.().catch(() => false),
      this.node.call(this.#next++, 'storage', '{}') as Promise<string>,
    ]);
    return JSON.stringify({
      restarts: this.tab.restarts(),
      leader,
      tabs: Math.max(tabs.size, 1),
      storage: {
        used: estimate?.usage ?? 0,
        quota: estimate?.quota ?? null,
        persisted: persisted ?? false,
        problem: (JSON.parse(storage) as { problem?: unknown }).problem ?? null,
      },
    });
  }
}

/** This tab among the others. */
class Tab {
  readonly id = crypto.randomUUID();
  readonly #channel: BroadcastChannel;
  readonly #mailbox: BroadcastChannel;
  #leader: Leader | null = null;
  /** The node that answers this tab's page, wherever it runs. */
  #epoch: string | null = null;
  #silent = 0;
  #beats = 0;
  #queue = new AbortController();
  #restarts = new Map<string, number>();

  constructor(readonly start: Start) {
    this.#restarts.set(this.id, start.restarts);
    this.#channel = new BroadcastChannel(start.name);
    this.#mailbox = new BroadcastChannel(`${start.name} ${this.id}`);
    this.#channel.onmessage = ({ data }: MessageEvent<Shared>) => this.#hear(data);
    this.#mailbox.onmessage = ({ data }: MessageEvent<Reply>) => {
      if (data.epoch === this.#epoch) post(data.response);
    };
    // Shows the others that this tab is there: the browser gives the lock up with the Worker.
    void navigator.locks.request(this.#lockOf(this.id), () => new Promise(() => undefined));
    this.#tell({ t: 'who', tab: this.id, restarts: start.restarts });
    this.#elect(false);
    setInterval(() => this.#beat(), BEAT_MS);
  }

  /** A request of this tab's page. */
  ask(request: Request): void {
    if (this.#leader !== null) this.#leader.serve(null, request, post);
    else if (this.#epoch !== null) this.#tell({ t: 'ask', epoch: this.#epoch, tab: this.id, request });
  }

  stop(): void {
    this.#leader?.node.stop();
    this.#queue.abort();
    // The locks are given up with the Worker.
    end();
  }

  /** The node will say nothing for a while. */
  busy(): void {
    post({ t: 'busy' });
    this.#tell({ t: 'busy' });
  }

  restarts(): number {
    return [...this.#restarts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** Tabs that are there, this one included. */
  async others(): Promise<Set<string>> {
    const { held = [] } = await navigator.locks.query();
    const prefix = this.#lockOf('');
    return new Set(held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])));
  }

  #lockOf(tab: string): string {
    return `${this.start.name} tab ${tab}`;
  }

  #tell(message: Shared): void {
    this.#channel.postMessage(message);
  }

  #hear(message: Shared): void {
    if (isOver()) return;
    switch (message.t) {
      case 'who':
        this.#restarts.set(message.tab, message.restarts);
        if (this.#leader !== null) this.#tell({ t: 'leader', epoch: this.#leader.epoch });
        break;
      case 'leader':
        this.#silent = 0;
        if (this.#leader === null) this.#follow(message.epoch);
        break;
      case 'busy':
        this.#silent = -SLOW_S;
        break;
      case 'ask': {
        const { epoch, tab, request } = message;
        const leader = this.#leader;
        if (leader?.epoch !== epoch) break;
        const mailbox = this.#mailboxOf(tab);
        leader.serve(tab, request, (response) => mailbox.postMessage({ epoch, response } satisfies Reply));
        break;
      }
    }
  }

  readonly #mailboxes = new Map<string, BroadcastChannel>();

  #mailboxOf(tab: string): BroadcastChannel {
    const known = this.#mailboxes.get(tab);
    if (known !== undefined) return known;
    const mailbox = new BroadcastChannel(`${this.start.name} ${tab}`);
    this.#mailboxes.set(tab, mailbox);
    return mailbox;
  }

  #follow(epoch: string): void {
    if (this.#epoch === epoch) return;
    this.#epoch = epoch;
    post({ t: 'node', epoch });
  }

  #beat(): void {
    if (isOver()) return;
    if (this.#leader !== null) {
      this.#tell({ t: 'leader', epoch: this.#leader.epoch });
      this.#beats += 1;
      if (this.#beats % SWEEP_BEATS === 0) void this.#sweep(this.#leader);
      return;
    }
    this.#silent += 1;
    if (this.#silent === BEATS_MAX) setTimeout(() => this.#takeOver(), Math.random() * SPREAD_MS);
  }

  async #sweep(leader: Leader): Promise<void> {
    await leader.sweep();
    const tabs = await this.others();
    for (const [tab, mailbox] of this.#mailboxes) {
      if (tabs.has(tab)) continue;
      mailbox.close();
      this.#mailboxes.delete(tab);
    }
  }

  #takeOver(): void {
    if (this.#leader !== null || this.#silent < BEATS_MAX) return;
    this.#silent = 0;
    this.#queue.abort();
    this.#elect(true);
  }

  #elect(steal: boolean): void {
    this.#queue = new AbortController();
    let held = false;
    const options: LockOptions = steal ? { steal } : { signal: this.#queue.signal };
    const hold = async (): Promise<void> => {
      held = true;
      await this.#lead();
      await new Promise(() => undefined);
    };
    navigator.locks.request(this.start.name, options, hold).catch((thrown: unknown) => {
      // Another tab thought that this one was gone: its node is the node now.
      if (held) dead('restarted', `Another tab took over: ${words(thrown)}.`, false);
    });
  }

  async #lead(): Promise<void> {
    const { options, wasm } = this.start;
    try {
      await init({ module_or_path: wasm ?? new URL('./timecoin_web_bg.wasm', import.meta.url) });
    } catch (thrown) {
      return dead('not_loaded', `The light node could not be loaded: ${words(thrown)}.`, false);
    }
    let node: LightNode;
    try {
      node = new LightNode(JSON.stringify(options), panicked);
    } catch (thrown) {
      if (typeof thrown !== 'string') return trapped(thrown);
      const { error } = JSON.parse(thrown) as { error: { code: Code; message: string } };
      return dead(error.code, error.message, true);
    }
    this.#leader = new Leader(node, this);
    this.#tell({ t: 'leader', epoch: this.#leader.epoch });
    this.#follow(this.#leader.epoch);
  }
}

let tab: Tab | null = null;

const post: (message: FromWorker) => void = tell;

self.addEventListener('message', ({ data }: MessageEvent<ToWorker | ToSupervised>) => {
  switch (data.t) {
    case 'start':
      tab ??= new Tab(data);
      break;
    case 'ping':
      tell({ t: 'pong' } satisfies FromSupervised);
      break;
    case 'stop':
      tab?.stop();
      break;
    default:
      if (!isOver()) tab?.ask(data);
  }
});
