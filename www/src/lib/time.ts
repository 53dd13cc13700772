/** Ages and durations in words. */

const UNITS: readonly [number, string][] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
];

/** A duration in its largest unit, rounded down: `12 s`, `3 min`. */
export function formatSpan(span_ms: number): string {
  for (const [size, unit] of UNITS) {
    if (span_ms >= size) return `${Math.floor(span_ms / size)}\u00a0${unit}`;
  }
  return '0\u00a0s';
}

/** How long ago; what is in the future by a clock's error is now. */
export function formatAge(age_ms: number): string {
  return age_ms < 1_000 ? 'now' : `${formatSpan(age_ms)} ago`;
}

/** Milliseconds as they are measured: `0.8 ms`, `3 ms`, `1.25 s`. A whole number gets no decimals. */
export function formatElapsed(elapsed_ms: number): string {
  if (elapsed_ms < 10 && !Number.isInteger(elapsed_ms)) return `${elapsed_ms.toFixed(1)}\u00a0ms`;
  if (elapsed_ms < 1_000) return `${Math.round(elapsed_ms)}\u00a0ms`;
  return `${(elapsed_ms / 1_000).toFixed(2)}\u00a0s`;
}

/** Local date and time, to the second. */
export function formatDate(time_ms: number): string {
  return new Date(time_ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}
