/** Reading receipts from files, pastes and links, before anything of them is believed. */

/** Larger files are no receipts. */
export const RECEIPT_SIZE_MAX = 4 << 20;
const PREFIX = 'timereceipt1';

export type ReceiptInput = { ok: true; receipt: string | Uint8Array } | { ok: false; why: string };

/** A receipt's text out of what was pasted: itself, its JSON, or a link that carries it. */
export function receiptFromText(text: string): ReceiptInput {
  const trimmed = text.trim();
  if (trimmed === '') return { ok: false, why: 'There is nothing to check.' };
  if (trimmed.length > RECEIPT_SIZE_MAX) return { ok: false, why: 'This is too large for a receipt.' };
  if (trimmed.startsWith('{')) return { ok: true, receipt: trimmed };
  const link = /[#?&/]receipt\?(?:[^#]*&)?r=([^&#\s]+)/.exec(trimmed);
  const line = (link === null ? trimmed : decodeLink(link[1] ?? '')).replace(/\s+/g, '');
  return line.toLowerCase().startsWith(PREFIX)
    ? { ok: true, receipt: line }
    : { ok: false, why: 'This is no receipt: it is neither JSON nor a line that begins with TIMERECEIPT1.' };
}

function decodeLink(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** A receipt out of a file: text in either form, or the binary form. */
export function receiptFromBytes(bytes: Uint8Array): ReceiptInput {
  if (bytes.length === 0) return { ok: false, why: 'The file is empty.' };
  if (bytes.length > RECEIPT_SIZE_MAX) return { ok: false, why: 'The file is too large for a receipt.' };
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const read = receiptFromText(text);
    // The binary form begins with its version, a byte that no text begins with.
    if (read.ok || (bytes[0] ?? 0) >= 0x20) return read;
  } catch {
    // Not text: the binary form.
  }
  return { ok: true, receipt: bytes };
}
