/**
 * Payment requests as links, after BIP 21: `timecoin:ADDRESS?amount=1.5&label=…&message=…`, and the same as a link
 * into the app, `…/#/pay/ADDRESS?amount=1.5`, which keeps everything behind the `#` and so out of servers' logs.
 */

import { checkAddress } from './address';
import { parseAmount, toDecimal } from './amount';

export const SCHEME = 'timecoin';
/** Most bytes of a memo. */
export const MEMO_SIZE_MAX = 80;

export interface PaymentRequest {
  to: string;
  amount: string | null;
  label: string | null;
  memo: string | null;
}

export type PaymentProblem = 'not_a_request' | 'address' | 'amount' | 'memo' | 'unknown_requirement';
export type ParsedPayment = { ok: true; request: PaymentRequest } | { ok: false; problem: PaymentProblem };

export function memoSize(memo: string): number {
  return new TextEncoder().encode(memo).length;
}

/** A name for a payment before anybody hears of it: asked for twice under one, it is made once. */
export function paymentId(): string {
  return crypto.randomUUID().replaceAll('-', '');
}

/** Reads an address, a `timecoin:` link, or a link into an app. A damaged request is refused whole. */
export function parsePayment(text: string): ParsedPayment {
  const trimmed = text.trim();
  const scheme = new RegExp(`^${SCHEME}:(?://)?([^?#]*)(?:\\?([^#]*))?`, 'i').exec(trimmed);
  const link = /#\/pay\/([^?]*)(?:\?(.*))?$/.exec(trimmed);
  const match = scheme ?? link;
  if (match !== null) return parseParts(match[1] ?? '', match[2] ?? '');
  return /^[a-z0-9]+$/i.test(trimmed) ? parseParts(trimmed, '') : { ok: false, problem: 'not_a_request' };
}

function parseParts(address: string, query: string): ParsedPayment {
  const checked = checkAddress(address);
  if (!checked.ok) return { ok: false, problem: 'address' };
  const fields = new URLSearchParams(query);
  // BIP 21: what is required and not understood makes the request unusable.
  if ([...fields.keys()].some((key) => key.startsWith('req-'))) return { ok: false, problem: 'unknown_requirement' };
  const typed = fields.get('amount');
  const amount = typed === null ? null : parseAmount(typed);
  if (typed !== null && (amount === null || amount === 0n)) return { ok: false, problem: 'amount' };
  const memo = fields.get('message');
  if (memo !== null && memoSize(memo) > MEMO_SIZE_MAX) return { ok: false, problem: 'memo' };
  return {
    ok: true,
    request: { to: checked.address, amount: amount === null ? null : toDecimal(amount), label: fields.get('label'), memo },
  };
}

function queryOf(request: PaymentRequest): string {
  const fields: [string, string | null][] = [
    ['amount', request.amount],
    ['label', request.label],
    ['message', request.memo],
  ];
  const given = fields.filter((field): field is [string, string] => field[1] !== null && field[1] !== '');
  // Not URLSearchParams: its `+` for a space is not understood by every reader of such links.
  const pairs = given.map(([key, value]) => `${key}=${encodeURIComponent(value)}`);
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`;
}

/** The request for QR codes and other wallets. */
export function paymentUri(request: PaymentRequest): string {
  return `${SCHEME}:${request.to}${queryOf(request)}`;
}

/** The request as a link into the app at `base`. */
export function paymentLink(base: string, request: PaymentRequest): string {
  return `${base.replace(/[?#].*$/, '')}#/pay/${request.to}${queryOf(request)}`;
}

export const PROBLEM_TEXTS: Record<PaymentProblem, string> = {
  not_a_request: 'This is neither an address nor a payment link.',
  address: 'The address is damaged: a character is missing or wrong. Copy it again.',
  amount: 'The link asks for an amount that is none.',
  memo: 'The link asks for a longer memo than a payment can carry.',
  unknown_requirement: 'The link requires something this wallet does not know. Ask for a plain one.',
};
