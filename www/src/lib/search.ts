/** What a search means, and whether an answer is the answer to it. */

import { checkAddress } from './address';
import { parseId } from './hash';
import { parsePayment } from './payment';

export type Query =
  | { kind: 'height'; height: number }
  | { kind: 'id'; id: string }
  | { kind: 'address'; address: string }
  | { kind: 'receipt'; text: string }
  | { kind: 'nothing' }
  | { kind: 'unclear'; why: string };

/** Reads a query. Nothing is guessed: a damaged address is said to be one. */
export function parseQuery(text: string): Query {
  const trimmed = text.trim();
  if (trimmed === '') return { kind: 'nothing' };
  const digits = trimmed.replace(/^#|[\s\u202f,_]/g, '');
  if (/^\d{1,15}$/.test(digits)) return { kind: 'height', height: Number(digits) };
  const id = parseId(trimmed);
  if (id !== null) return { kind: 'id', id };
  if (/^timereceipt1/i.test(trimmed)) return { kind: 'receipt', text: trimmed };
  const address = checkAddress(trimmed);
  if (address.ok) return { kind: 'address', address: address.address };
  const payment = parsePayment(trimmed);
  if (payment.ok) return { kind: 'address', address: payment.request.to };
  return { kind: 'unclear', why: whyUnclear(trimmed, address.reason) };
}

function whyUnclear(text: string, reason: 'malformed' | 'damaged'): string {
  if (/^[0-9a-f]+$/i.test(text)) return `A hash has 64 hexadecimal digits; this has ${text.length}.`;
  if (/^(d|t)?time1/i.test(text) || reason === 'damaged') return 'The address is damaged: a character is missing or wrong. Copy it again.';
  return 'Search for a height, a block or transaction id, an address or a receipt.';
}

/** Whether a block is the one that was asked for: a peer may answer with another. */
export function isBlockAsked(query: number | string, block: { height: number; block: string }): boolean {
  return typeof query === 'number' ? block.height === query : block.block === query;
}
