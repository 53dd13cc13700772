/** The chain spec: from the serving node, or chosen as a file; kept for checking receipts without a network. */

import { chainSpec } from '@/node/local';
import { keep, kept } from './kept';
import { base } from './router.svelte';

export type SpecSource = 'network' | 'kept' | 'file';

export interface KnownSpec {
  spec: string;
  from: SpecSource;
}

let chosen: string | null = null;

/** Uses a spec that the person chose, as long as the page is open. */
export function chooseSpec(spec: string): void {
  chosen = spec;
}

/** The spec, and where it came from. */
export async function knownSpec(): Promise<KnownSpec> {
  if (chosen !== null) return { spec: chosen, from: 'file' };
  try {
    const spec = await chainSpec(base);
    keep('spec', spec);
    return { spec, from: 'network' };
  } catch (thrown) {
    const spec = kept('spec', (value) => (typeof value === 'string' ? value : null));
    if (spec === null) throw thrown;
    return { spec, from: 'kept' };
  }
}
