/** One thing that a page shows: loading, there, or failed. What was there stays when a later attempt fails. */

import { describe, type NodeError } from '@/node/errors';

export class Load<T> {
  data = $state.raw<T | null>(null);
  problem = $state.raw<NodeError | null>(null);
  loading = $state(false);
  #run = 0;

  /** Loads anew. A later run wins over an earlier one that is still under way. */
  async run(load: () => Promise<T>): Promise<void> {
    const run = ++this.#run;
    this.loading = true;
    try {
      const data = await load();
      if (run !== this.#run) return;
      this.data = data;
      this.problem = null;
    } catch (thrown) {
      if (run === this.#run) this.problem = describe(thrown);
    }
    this.loading = false;
  }

  /** Forgets: the page now shows another thing. */
  clear(): void {
    this.#run += 1;
    this.data = null;
    this.problem = null;
    this.loading = false;
  }
}

/** Calls `run` at most once in so many milliseconds: at once, and again at the end if it was asked for meanwhile. */
export function paced(every_ms: number, run: () => void): { ask: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let again = false;
  const ask = (): void => {
    if (timer !== undefined) {
      again = true;
      return;
    }
    run();
    timer = setTimeout(() => {
      timer = undefined;
      if (again) {
        again = false;
        ask();
      }
    }, every_ms);
  };
  return { ask, stop: () => clearTimeout(timer) };
}
