/** What the node pill says. */

import { formatSpan } from '@/lib/time';
import type { PillState } from '@/state/node.svelte';

export interface PillText {
  word: string;
  tone: 'ok' | 'warn' | 'bad' | 'busy';
  /** One sentence for those who ask. */
  means: string;
}

export function pillText(state: PillState, now: number): PillText {
  switch (state.kind) {
    case 'starting':
      return { word: 'starting', tone: 'busy', means: 'The light node is being loaded.' };
    case 'connecting':
      return { word: 'connecting', tone: 'busy', means: 'Looking for peers.' };
    case 'syncing':
      return {
        word: `syncing ${Math.floor(state.percent)}\u00a0%`,
        tone: 'busy',
        means: `Checking certificates: block ${state.height} of ${state.target}.`,
      };
    case 'verified':
      return { word: 'verified', tone: 'ok', means: 'This browser has checked the newest block itself.' };
    case 'stale':
      return { word: `stale ${formatSpan(state.age_ms)}`, tone: 'warn', means: 'No newer block has arrived; what is shown was checked and is getting old.' };
    case 'offline':
      return { word: `offline ${formatSpan(now - state.since)}`, tone: 'bad', means: 'No node can be reached. What is shown stays, with its age.' };
    case 'failed':
      return { word: 'failed', tone: 'bad', means: state.message };
    case 'unverified':
      return { word: 'not verified', tone: 'warn', means: 'The node that serves this page answers. Your browser does not check what it says.' };
  }
}
