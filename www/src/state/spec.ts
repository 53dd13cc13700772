/** The chain spec: from the serving node, and kept for checking receipts without a network. */

import { chainSpec } from '@/node/local';
import { keep, kept } from './kept';
import { base } from './router.svelte';

/** The spec, and whether it came over the network now or was kept from before. */
export async function knownSpec(): Promise<{ spec: string; from: 'network' | 'kept' }> {
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
