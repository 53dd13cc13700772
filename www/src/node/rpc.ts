/** JSON-RPC 2.0 over HTTP, and its subscriptions over a WebSocket that comes back by itself. */

import { NodeError } from './errors';
import { asObject, count, text, type Json } from './read';

const CALL_TIMEOUT_MS = 15_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 15_000;
/** A socket that was silent for so long is asked whether it still lives, */
const BEAT_MS = 15_000;
/** and is given up if it does not answer within this: after sleep, sockets look open that are not. */
const BEAT_ANSWER_MS = 5_000;

export type Topic = 'blocks' | 'transactions' | 'addresses';

interface Subscription {
  topic: Topic;
  filter: readonly string[] | null;
  receive: (result: Json) => void;
}

export class Rpc {
  #calls = 0;

  constructor(readonly url: URL) {}

  /** Calls a method. A failure says whether the node, the way to it or the question is at fault. */
  async call(method: string, params: Json = {}, signal?: AbortSignal): Promise<unknown> {
    this.#calls += 1;
    const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const request: RequestInit = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: this.#calls, method, params }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      credentials: 'omit',
      cache: 'no-store',
    };
    let response: Response;
    let body: unknown;
    try {
      response = await fetch(this.url, request);
      body = await response.json().catch(() => null);
    } catch (thrown) {
      if (signal?.aborted) throw thrown;
      const late = timeout.aborted;
      throw new NodeError(
        late ? 'timeout' : 'unreachable',
        late ? `The node did not answer within ${CALL_TIMEOUT_MS / 1_000} s.` : 'The node that serves this page cannot be reached.',
        'Check your connection and whether the node runs. What was loaded stays on the page, with its age.',
        true,
      );
    }
    return resultOf(body, response.status);
  }
}

function resultOf(body: unknown, status: number): unknown {
  if (typeof body !== 'object' || body === null) {
    const refused = status === 401 || status === 403;
    throw refused
      ? new NodeError('unauthorized', 'The node answers no questions from this address.', 'Open the page on the machine of the node, or set rpc_public in its configuration.')
      : new NodeError('no_rpc', `There is no node behind this page (HTTP ${status}).`, 'Open the page at the address of a TimeCoin node.', true);
  }
  const answer = asObject(body);
  if (answer['error'] === undefined) return answer['result'];
  const error = asObject(answer['error'], 'error');
  const data = typeof error['data'] === 'object' && error['data'] !== null ? asObject(error['data']) : {};
  const code = typeof data['code'] === 'string' ? data['code'] : `rpc_${count(error, 'code')}`;
  const advice = typeof data['advice'] === 'string' ? data['advice'] : '';
  throw new NodeError(code, text(error, 'message'), advice, code === 'busy' || code === 'timeout');
}

/** Subscriptions, kept up over lost connections. `onLink` hears whether news arrive at present. */
export class Feed {
  #socket: WebSocket | null = null;
  #subscriptions = new Map<number, Subscription>();
  /** Ids of the present connection: ours → the node's, and back. */
  #pending = new Map<number, Subscription>();
  #active = new Map<number, Subscription>();
  #next = 1;
  #retry_ms = RETRY_FIRST_MS;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #heard = 0;
  #beat: ReturnType<typeof setInterval>;
  #closed = false;

  constructor(
    readonly url: URL,
    readonly onLink: (up: boolean) => void,
  ) {
    addEventListener('online', this.#hurry);
    addEventListener('offline', this.#drop);
    document.addEventListener('visibilitychange', this.#ping);
    this.#beat = setInterval(this.#ping, BEAT_MS);
    this.#dial();
  }

  /** Calls `receive` with every result of a topic until the returned function is called. */
  subscribe(topic: Topic, receive: (result: Json) => void, filter: readonly string[] | null = null): () => void {
    const id = this.#next++;
    const subscription = { topic, filter, receive };
    this.#subscriptions.set(id, subscription);
    this.#ask(subscription);
    return () => {
      this.#subscriptions.delete(id);
      for (const [number, active] of this.#active) {
        if (active !== subscription) continue;
        this.#active.delete(number);
        this.#send('unsubscribe', { subscription: number });
      }
    };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    removeEventListener('online', this.#hurry);
    removeEventListener('offline', this.#drop);
    document.removeEventListener('visibilitychange', this.#ping);
    this.#socket?.close();
  }

  /** Gives the present connection up without waiting for its end to be noticed. */
  #drop = (): void => {
    const socket = this.#socket;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#lost();
  };

  /** Asks a silent connection for any answer. */
  #ping = (): void => {
    const socket = this.#socket;
    if (document.hidden || socket?.readyState !== WebSocket.OPEN || Date.now() - this.#heard < BEAT_ANSWER_MS) return;
    const asked = Date.now();
    this.#send('uptime', {});
    setTimeout(() => {
      if (this.#socket === socket && this.#heard < asked) this.#drop();
    }, BEAT_ANSWER_MS);
  };

  #hurry = (): void => {
    if (this.#socket !== null) return;
    clearTimeout(this.#timer);
    this.#dial();
  };

  #dial(): void {
    const socket = new WebSocket(this.url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#retry_ms = RETRY_FIRST_MS;
      this.#heard = Date.now();
      for (const subscription of this.#subscriptions.values()) this.#ask(subscription);
      this.onLink(true);
    };
    socket.onmessage = ({ data }) => {
      this.#heard = Date.now();
      this.#receive(data);
    };
    socket.onclose = () => this.#lost();
  }

  #lost(): void {
    this.#socket = null;
    this.#pending.clear();
    this.#active.clear();
    this.onLink(false);
    if (this.#closed) return;
    // Spread, so that pages do not all come back to a restarted node at once.
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#dial(), this.#retry_ms * (0.75 + Math.random() / 2));
    this.#retry_ms = Math.min(this.#retry_ms * 2, RETRY_MAX_MS);
  }

  #send(method: string, params: Json): number {
    const id = this.#next++;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    return id;
  }

  #ask(subscription: Subscription): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const { topic, filter } = subscription;
    this.#pending.set(this.#send('subscribe', filter === null ? { topic } : { topic, filter: [...filter] }), subscription);
  }

  #receive(data: unknown): void {
    if (typeof data !== 'string') return;
    const message = asObject(JSON.parse(data));
    if (message['method'] === 'subscription') {
      const params = asObject(message['params'], 'params');
      this.#active.get(count(params, 'subscription'))?.receive(asObject(params['result'], 'result'));
      return;
    }
    const id = typeof message['id'] === 'number' ? message['id'] : -1;
    const asked = this.#pending.get(id);
    this.#pending.delete(id);
    const number = message['result'];
    if (asked === undefined || typeof number !== 'number') return;
    // Unsubscribed while the answer was under way.
    if ([...this.#subscriptions.values()].includes(asked)) this.#active.set(number, asked);
    else this.#send('unsubscribe', { subscription: number });
  }
}
