/** What a transaction does beside moving coins, in words. */

function member(action: object, name: string): string {
  const value = (action as Record<string, unknown>)[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** One sentence; what is not known is named, not hidden. */
export function describeAction(action: unknown): string {
  if (typeof action !== 'object' || action === null) return 'Moves coins';
  const kind = member(action, 'kind');
  switch (kind) {
    case 'transfer':
      return 'Moves coins';
    case 'register_masternode':
      return `Registers a ${member(action, 'tier').toLowerCase()} masternode (${member(action, 'class').toLowerCase()})`;
    case 'retire_masternode':
      return 'Retires a masternode';
    case 'rotate_operator':
      return 'Changes the operator key of a masternode';
    case 'reward':
      return `Pays the reward of block ${member(action, 'height')}`;
    default:
      return `Something this version does not know (${kind === '' ? 'no kind' : kind})`;
  }
}
