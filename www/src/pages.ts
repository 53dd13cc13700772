/** Which page a path shows. */

import type { Component } from 'svelte';

import { formatCount } from '@/lib/amount';
import { parseId, shorten } from '@/lib/hash';
import Address from './pages/Address.svelte';
import Block from './pages/Block.svelte';
import Masternodes from './pages/Masternodes.svelte';
import Network from './pages/Network.svelte';
import NotFound from './pages/NotFound.svelte';
import Overview from './pages/Overview.svelte';
import Receipt from './pages/Receipt.svelte';
import Transaction from './pages/Transaction.svelte';
import Validator from './pages/Validator.svelte';
import Wallet from './pages/Wallet.svelte';
import type { Route } from './state/router.svelte';

export const SECTIONS = [
  { path: '/wallet', name: 'Wallet' },
  { path: '/', name: 'Explorer' },
  { path: '/receipt', name: 'Receipts' },
  { path: '/masternodes', name: 'Masternodes' },
  { path: '/validator', name: 'Validator' },
  { path: '/network', name: 'Network' },
] as const;

export type Section = (typeof SECTIONS)[number]['path'];

export interface Page {
  component: Component<Record<string, string>>;
  title: string;
  section: Section | null;
  props: Record<string, string>;
  /** Another key is another page, which starts anew. */
  key: string;
}

function page(component: unknown, title: string, section: Section | null, props: Record<string, string> = {}): Page {
  // Each page states its properties itself; here they are all texts.
  return { component: component as Component<Record<string, string>>, title, section, props, key: title + JSON.stringify(props) };
}

/** A payment link as it was opened, for the page that reads such links. */
function paymentLinkOf({ path, query }: Route): string {
  const fields = query.toString();
  return `timecoin:${path[1] ?? ''}${fields === '' ? '' : `?${fields}`}`;
}

export function pageFor(route: Route): Page {
  const { path, query } = route;
  const [first = '', second = ''] = path;
  switch (first) {
    case '':
      return page(Overview, 'Explorer', '/');
    case 'wallet':
      return page(Wallet, 'Wallet', '/wallet', { view: second });
    case 'pay':
      return page(Wallet, 'Pay', '/wallet', { view: 'send', request: paymentLinkOf(route) });
    case 'receipt':
      return page(Receipt, 'Receipt checker', '/receipt', { given: query.get('r') ?? '', txid: parseId(query.get('txid') ?? '') ?? '' });
    case 'block':
      return page(Block, `Block ${/^\d+$/.test(second) ? formatCount(Number(second)) : shorten(second)}`, '/', { id: second.toLowerCase() });
    case 'tx':
      return page(Transaction, `Transaction ${shorten(second)}`, '/', { id: second.toLowerCase() });
    case 'address':
      return page(Address, `Address ${shorten(second)}`, '/', { address: second.toLowerCase() });
    case 'masternodes':
      return page(Masternodes, 'Masternodes', '/masternodes');
    case 'validator':
      return page(Validator, 'Validator', '/validator', { given: query.get('key') ?? '' });
    case 'network':
      return page(Network, 'Network', '/network');
    default:
      return page(NotFound, 'No such page', null);
  }
}
