/** The finality chart's numbers. */

/** The value below which a share of the sorted values lies; null where there are none. */
export function quantile(values: readonly number[], share: number): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? null;
}

/** Powers of ten that enclose the values, at least one decade apart. */
export function decades(values: readonly number[]): { low: number; high: number } {
  const positive = values.filter((value) => value > 0);
  const low = positive.length === 0 ? 0 : Math.floor(Math.log10(Math.min(...positive)));
  const high = positive.length === 0 ? 3 : Math.ceil(Math.log10(Math.max(...positive)));
  return { low, high: Math.max(high, low + 1) };
}

/** Where a value stands between two powers of ten, from 0 to 1. */
export function position(value: number, range: { low: number; high: number }): number {
  if (value <= 0) return 0;
  return Math.min(1, Math.max(0, (Math.log10(value) - range.low) / (range.high - range.low)));
}
