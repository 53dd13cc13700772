/** The words for a transaction's phases. Pending, committed and final are three different things. */

import type { Phase } from 'timecoin';

export const PHASES: readonly Phase[] = ['pending', 'preprepare', 'prepare', 'commit', 'finalized'];

export const PHASE_NAMES: Record<Phase, string> = {
  pending: 'Pending',
  preprepare: 'PrePrepare',
  prepare: 'Prepare',
  commit: 'Commit',
  finalized: 'Finalized',
  dropped: 'Dropped',
};

/** The word for how certain it is. */
export function certainty(phase: Phase): 'pending' | 'committed' | 'final' | 'dropped' {
  if (phase === 'finalized') return 'final';
  if (phase === 'commit') return 'committed';
  return phase === 'dropped' ? 'dropped' : 'pending';
}

export const CERTAINTY_TEXTS = {
  pending: 'Known, and not yet agreed on. It can still be replaced or dropped.',
  committed: 'Most validators have committed to its block. Its certificate is not complete yet.',
  final: 'In a block with a certificate of more than two thirds of the weight. It cannot be undone.',
  dropped: 'Replaced, expired, or in conflict with a final transaction. It will not happen.',
} as const;
