/** Amounts as exact decimals. They are never floating-point numbers: 2^64 grains do not fit one. */

export const DECIMALS = 8;
const GRAINS = 10n ** BigInt(DECIMALS);
const FORM = /^(\d+)(?:\.(\d{1,8}))?$/;

/** The grains of a decimal text; null where it is no amount. */
export function parseAmount(text: string): bigint | null {
  const match = FORM.exec(text);
  if (match === null) return null;
  const grains = BigInt(match[1] ?? '') * GRAINS + BigInt((match[2] ?? '').padEnd(DECIMALS, '0'));
  return grains < 1n << 64n ? grains : null;
}

/** What a person types: spaces as thousands separators, a comma or a point, `.5`. */
export function parseTyped(text: string): bigint | null {
  const plain = text.replace(/[\s\u00a0\u202f']/g, '');
  if ((plain.match(/[.,]/g) ?? []).length > 1) return null;
  const pointed = plain.replace(',', '.');
  return parseAmount(pointed.startsWith('.') ? `0${pointed}` : pointed);
}

/** The decimal text of grains, without trailing zeros. */
export function toDecimal(grains: bigint): string {
  const sign = grains < 0n ? '-' : '';
  const size = grains < 0n ? -grains : grains;
  const fraction = (size % GRAINS).toString().padStart(DECIMALS, '0').replace(/0+$/, '');
  return `${sign}${size / GRAINS}${fraction === '' ? '' : `.${fraction}`}`;
}

/** Whole coins in groups of three, and the fraction with at least two digits. */
export function splitAmount(decimal: string): { sign: string; whole: string; fraction: string } {
  const sign = decimal.startsWith('-') ? '−' : '';
  const [whole = '0', fraction = ''] = decimal.replace(/^-/, '').split('.');
  return { sign, whole: groupDigits(whole), fraction: fraction.padEnd(2, '0') };
}

/** Digits in groups of three with thin no-break spaces. */
export function groupDigits(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** A whole number in groups of three. */
export function formatCount(count: number): string {
  return groupDigits(Math.trunc(count).toString());
}

/** A size in the unit that fits. */
export function formatBytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** Sum of decimal amounts; null where one of them is none. */
export function sumAmounts(amounts: readonly string[]): string | null {
  let sum = 0n;
  for (const amount of amounts) {
    const grains = parseAmount(amount);
    if (grains === null) return null;
    sum += grains;
  }
  return toDecimal(sum);
}
