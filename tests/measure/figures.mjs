// What the measurements share.

import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const dist = `${root}web/dist`;

/** Times are medians of so many runs, each of a fresh browser. */
export const RUNS = 5;

/** The size of bytes as a server sends them that compresses once and for all. */
export function brotli(bytes) {
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_LGWIN]: 24 } }).length;
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** Whether a figure keeps to its gate, where it has one. */
export const passes = ({ value, gate }) => gate === undefined || value <= gate;

/** A figure as a person reads it. */
export function shown({ what, value, unit, gate, beside = "" }) {
  const size = (bytes) => `${(bytes / 1000).toFixed(1)} KB`;
  const number = (given) => (unit === "bytes" ? size(given) : `${given < 10 ? given.toFixed(1) : given.toFixed(0)} ${unit}`.trim());
  const verdict = gate === undefined ? "" : `${number(gate)}${passes({ value, gate }) ? "" : " MISSED"}`;
  return [what, number(value), verdict, beside].join(" | ");
}
