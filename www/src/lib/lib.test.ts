import { describe, expect, test } from 'vitest';

import { checkAddress, groupAddress } from './address';
import { groupDigits, parseAmount, parseTyped, splitAmount, sumAmounts, toDecimal } from './amount';
import { parseId, shorten } from './hash';
import { parsePayment, paymentLink, paymentUri } from './payment';
import { isBlockAsked, parseQuery } from './search';
import { formatAge, formatElapsed, formatSpan } from './time';

const ADDRESS = 'dtime1qp49f4a64u9gunku8vgz2qtcfgd9et2mlnk7ghfjz9d0t5tfjwfggrv2mmf';
const ID = '0706a38a5117a7e112b86d2ef1fab7493dd7a2272f0265acca87c80ad96d1c84';

describe('amounts', () => {
  const cases: [string, string, bigint | null][] = [
    ['whole', '12', 1_200_000_000n],
    ['smallest', '0.00000001', 1n],
    ['largest', '184467440737.09551615', (1n << 64n) - 1n],
    ['beyond the largest', '184467440737.09551616', null],
    ['nine decimals', '0.000000001', null],
    ['negative', '-1', null],
    ['exponent', '1e3', null],
    ['empty', '', null],
    ['no whole', '.5', null],
  ];
  test.each(cases)('%s', (_name, text, grains) => {
    expect(parseAmount(text)).toBe(grains);
    if (grains !== null) expect(parseAmount(toDecimal(grains))).toBe(grains);
  });

  test('typed amounts', () => {
    expect(parseTyped('1 234,5')).toBe(123_450_000_000n);
    expect(parseTyped('.5')).toBe(50_000_000n);
    expect(parseTyped('1,234.5')).toBe(null);
    expect(parseTyped('1.2.3')).toBe(null);
  });

  test('shown amounts', () => {
    expect(splitAmount('1234567.5')).toEqual({ sign: '', whole: '1\u202f234\u202f567', fraction: '50' });
    expect(splitAmount('-0.00000001')).toEqual({ sign: '−', whole: '0', fraction: '00000001' });
    expect(groupDigits('123')).toBe('123');
    expect(sumAmounts(['0.1', '0.2'])).toBe('0.3');
    expect(sumAmounts(['0.1', 'x'])).toBe(null);
  });
});

describe('addresses', () => {
  test('any one wrong character is found', () => {
    expect(checkAddress(ADDRESS)).toEqual({ ok: true, address: ADDRESS, network: 'dev' });
    for (let at = 6; at < ADDRESS.length; at += 1) {
      const wrong = `${ADDRESS.slice(0, at)}${ADDRESS[at] === 'q' ? 'p' : 'q'}${ADDRESS.slice(at + 1)}`;
      expect(checkAddress(wrong).ok, wrong).toBe(false);
    }
  });
  test('case', () => {
    expect(checkAddress(ADDRESS.toUpperCase()).ok).toBe(true);
    expect(checkAddress(`D${ADDRESS.slice(1)}`).ok).toBe(false);
  });
  test('groups', () => expect(groupAddress('abcdefghi')).toEqual(['abcd', 'efgh', 'i']));
});

describe('payment requests', () => {
  const request = { to: ADDRESS, amount: '1.5', label: 'Ann & Bob', memo: 'for tea + cake' };
  test('a link says what was asked', () => {
    expect(parsePayment(paymentUri(request))).toEqual({ ok: true, request });
    expect(parsePayment(paymentLink('https://host/app/#/wallet', request))).toEqual({ ok: true, request });
    expect(paymentLink('https://host/app/?x#y', request)).toMatch(/^https:\/\/host\/app\/#\/pay\/dtime1/);
  });
  test('an address alone is a request', () => {
    expect(parsePayment(` ${ADDRESS} `)).toEqual({ ok: true, request: { to: ADDRESS, amount: null, label: null, memo: null } });
  });
  const refused: [string, string, string][] = [
    ['a damaged address', `timecoin:${ADDRESS.replace('q', 'p')}`, 'address'],
    ['no amount', `timecoin:${ADDRESS}?amount=ten`, 'amount'],
    ['nothing', `timecoin:${ADDRESS}?amount=0`, 'amount'],
    ['a long memo', `timecoin:${ADDRESS}?message=${'€'.repeat(27)}`, 'memo'],
    ['an unknown requirement', `timecoin:${ADDRESS}?req-split=2`, 'unknown_requirement'],
    ['another scheme', `bitcoin:${ADDRESS}`, 'not_a_request'],
  ];
  test.each(refused)('%s is refused', (_name, text, problem) => {
    expect(parsePayment(text)).toEqual({ ok: false, problem });
  });
});

describe('search', () => {
  test('each kind', () => {
    expect(parseQuery('  12 345 ')).toEqual({ kind: 'height', height: 12345 });
    expect(parseQuery('#7')).toEqual({ kind: 'height', height: 7 });
    expect(parseQuery(ID.toUpperCase())).toEqual({ kind: 'id', id: ID });
    expect(parseQuery(ADDRESS)).toEqual({ kind: 'address', address: ADDRESS });
    expect(parseQuery(`timecoin:${ADDRESS}?amount=1`)).toEqual({ kind: 'address', address: ADDRESS });
    expect(parseQuery('TIMERECEIPT1QYQ').kind).toBe('receipt');
    expect(parseQuery('').kind).toBe('nothing');
  });
  test('what is damaged is said to be so', () => {
    expect(parseQuery(ADDRESS.slice(0, -1))).toMatchObject({ kind: 'unclear', why: expect.stringContaining('damaged') });
    expect(parseQuery(ID.slice(1))).toMatchObject({ kind: 'unclear', why: expect.stringContaining('63') });
    expect(parseQuery('hello')).toMatchObject({ kind: 'unclear' });
  });
  test('another block is no answer', () => {
    expect(isBlockAsked(5, { height: 5, block: ID })).toBe(true);
    expect(isBlockAsked(5, { height: 6, block: ID })).toBe(false);
    expect(isBlockAsked(ID, { height: 6, block: ID })).toBe(true);
    expect(isBlockAsked(ID, { height: 6, block: ID.replace('0', '1') })).toBe(false);
  });
});

test('times and hashes in words', () => {
  expect(formatSpan(63_000)).toBe('1\u00a0min');
  expect(formatAge(-5)).toBe('now');
  expect(formatAge(12_300)).toBe('12\u00a0s ago');
  expect([0.84, 3, 11.8, 1_250].map(formatElapsed)).toEqual(['0.8\u00a0ms', '3\u00a0ms', '12\u00a0ms', '1.25\u00a0s']);
  expect(shorten(ID)).toBe('0706a38a…6d1c84');
  expect(shorten('short')).toBe('short');
  expect(parseId(` ${ID.toUpperCase()}`)).toBe(ID);
  expect(parseId(ID.slice(1))).toBe(null);
});
