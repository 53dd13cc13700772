/** When what is shown counts as old, and is greyed. */

import type { Shown } from '@/node/shown';
import { clock } from './clock.svelte';
import { node } from './node.svelte';

export const OLD_MS = 15_000;

/** Whether an answer that can change is older than it should be. With no newer block there is no newer answer. */
export function isOld(shown: Shown<unknown>): boolean {
  const current = node.lostSince === null && shown.height === node.height;
  return !current && clock.now - shown.as_of > OLD_MS;
}
