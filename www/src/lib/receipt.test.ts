import { expect, test } from 'vitest';

import { receiptFromBytes, receiptFromText } from './receipt';

const LINE = 'TIMERECEIPT1QYQQQ';

test.each([
  ['a line', ` ${LINE}\n`, LINE],
  ['a broken line', 'TIMERECEIPT1QY\nQQQ', LINE],
  ['lower case', LINE.toLowerCase(), LINE.toLowerCase()],
  ['JSON', ' {"version":1}', '{"version":1}'],
  ['a link', `https://host/app/#/receipt?r=${LINE}`, LINE],
])('%s is read', (_name, text, receipt) => {
  expect(receiptFromText(text)).toEqual({ ok: true, receipt });
});

test.each([
  ['nothing', ''],
  ['another text', 'hello'],
  ['a link without a receipt', 'https://host/#/receipt?txid=00'],
  ['what is too large', 'x'.repeat((4 << 20) + 1)],
])('%s is no receipt', (_name, text) => {
  expect(receiptFromText(text).ok).toBe(false);
});

test('files in all three forms', () => {
  const utf8 = new TextEncoder();
  expect(receiptFromBytes(utf8.encode(LINE))).toEqual({ ok: true, receipt: LINE });
  expect(receiptFromBytes(utf8.encode('{}'))).toEqual({ ok: true, receipt: '{}' });
  const binary = new Uint8Array([1, 0, 0xff, 0xfe]);
  expect(receiptFromBytes(binary)).toEqual({ ok: true, receipt: binary });
  const low = new Uint8Array([1, 0, 0, 0]);
  expect(receiptFromBytes(low)).toEqual({ ok: true, receipt: low });
  expect(receiptFromBytes(utf8.encode('hello')).ok).toBe(false);
  expect(receiptFromBytes(new Uint8Array()).ok).toBe(false);
});
