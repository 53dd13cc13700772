/** What a transaction does beside moving coins, in words. */

import type { Action } from 'timecoin';

/** One sentence. */
export function describeAction(action: Action): string {
  switch (action.kind) {
    case 'transfer':
      return 'Moves coins';
    case 'register_masternode':
      return `Registers a ${action.tier} masternode (${action.class})`;
    case 'retire_masternode':
      return 'Retires a masternode';
    case 'rotate_operator':
      return 'Changes the operator key of a masternode';
    case 'reward':
      return action.height === 0 ? 'Makes the coins of genesis' : `Pays the reward of block ${action.height}`;
  }
}
