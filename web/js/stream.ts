/** News as an async iterator. Nothing is subscribed to before it is iterated; leaving the loop ends the subscription. */

/** Most news that wait for a slow reader; of more, the oldest are left out. */
const WAITING_MAX = 1_000;

export interface Sink<T> {
  push(item: T): void;
  end(failure?: Error): void;
}

/** `latest`: a slow reader gets the newest only. */
export function stream<T>(keep: 'latest' | 'all', subscribe: (sink: Sink<T>) => () => void): AsyncIterable<T> {
  return { [Symbol.asyncIterator]: () => new Reader(keep, subscribe) };
}

class Reader<T> implements AsyncIterator<T, undefined> {
  #waiting: T[] = [];
  #asked: { resolve: (result: IteratorResult<T, undefined>) => void; reject: (failure: Error) => void }[] = [];
  #over = false;
  #failure: Error | null = null;
  readonly #stop: () => void;

  constructor(keep: 'latest' | 'all', subscribe: (sink: Sink<T>) => () => void) {
    const push = (item: T): void => {
      if (this.#over) return;
      const asked = this.#asked.shift();
      if (asked !== undefined) return asked.resolve({ value: item, done: false });
      if (keep === 'latest') this.#waiting = [];
      this.#waiting.push(item);
      if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    };
    const end = (failure?: Error): void => {
      this.#over = true;
      this.#failure = failure ?? null;
      for (const asked of this.#asked.splice(0)) this.#finish(asked.resolve, asked.reject);
    };
    this.#stop = subscribe({ push, end });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#waiting.shift();
    if (item !== undefined) return Promise.resolve({ value: item, done: false });
    return new Promise((resolve, reject) => {
      if (this.#over) this.#finish(resolve, reject);
      else this.#asked.push({ resolve, reject });
    });
  }

  return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#over) this.#stop();
    this.#over = true;
    this.#waiting = [];
    for (const { resolve } of this.#asked.splice(0)) resolve({ value: undefined, done: true });
    return Promise.resolve({ value: undefined, done: true });
  }

  /** A failure is thrown once. */
  #finish(resolve: (result: IteratorResult<T, undefined>) => void, reject: (failure: Error) => void): void {
    const failure = this.#failure;
    this.#failure = null;
    if (failure === null) resolve({ value: undefined, done: true });
    else reject(failure);
  }
}
