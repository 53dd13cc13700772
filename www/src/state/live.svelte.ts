/** Keeps a page's data current while it is open. */

import { untrack } from 'svelte';

import { clock } from './clock.svelte';
import { paced } from './load.svelte';
import { node } from './node.svelte';

/** Calls `run` at once and after new blocks, not more often than given, and not while the page is hidden. */
export function onBlocks(every_ms: number, run: () => void): void {
  const pace = paced(every_ms, run);
  let done: number | null | undefined;
  $effect(() => {
    void clock.now;
    const height = node.height;
    if (document.hidden || height === done) return;
    done = height;
    untrack(pace.ask);
  });
  $effect(() => pace.stop);
}
