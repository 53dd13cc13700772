/** From when on what is shown counts as old, and is greyed. */

import { clock } from './clock.svelte';

export const OLD_MS = 15_000;

export function isOld(as_of: number): boolean {
  return clock.now - as_of > OLD_MS;
}
