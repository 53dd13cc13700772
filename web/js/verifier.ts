/**
 * Checks receipts: a small WebAssembly module and nothing else. It asks no server; once its own file is loaded it
 * works offline.
 */

import init, { verify } from './generated/timecoin_verifier.js';
import { TimeCoinError } from './error.js';
import { VERIFIER } from './generated/build.js';
import type { BuildInfo } from './node.js';

export type { BuildInfo };
export { TimeCoinError };

/** A block that is trusted from outside the chain. */
export interface Checkpoint {
  height: number;
  block: string;
  /** Hash of the set that signs the next block. */
  validators: string;
  /** Milliseconds since 1970. */
  time: number;
}

export interface VerifyOptions {
  /** The chain spec, as JSON. The blocks it names are trusted: its genesis and its checkpoints. */
  spec: string;
  /** Blocks trusted beside them. */
  anchors?: readonly Checkpoint[];
  /** The time of checking; this device's clock where it is left out. */
  now?: number;
  /**
   * Vouches for the receipt's anchor whatever its age. Without this it may be two thirds of the unbonding period old:
   * the keys of validators long gone may have been sold.
   */
  anyAge?: boolean;
}

/** What a receipt proved, and what was trusted for it. */
export interface VerifiedReceipt {
  txid: string;
  /** What was paid to whom; amounts in whole coins. */
  outputs: { address: string; amount: string; owner: string }[];
  /** The memo, where it is text. */
  memo: string | null;
  memo_hex: string;
  /** The payment's block. */
  height: number;
  block: string;
  time: number;
  /** Height of the final header it was proved under. */
  final_height: number;
  /** The weight that signed that header, of the whole set's; `null` where the header is the anchor itself. */
  signed_weight: string | null;
  total_weight: string | null;
  /** What was trusted to begin with, and how old it was. */
  anchor: Checkpoint;
  anchor_age_ms: number;
  any_age: boolean;
}

/** Where the module's file is: beside this one, unless the host says otherwise. */
export type Payload = URL | Response | ArrayBuffer | Uint8Array<ArrayBuffer> | WebAssembly.Module;

/**
 * Loads the module. `verifyReceipt` does that by itself; call this earlier to be ready before the network goes, or to
 * hand over the payload where `fetch` cannot reach it.
 */
export async function loadVerifier(payload?: Payload): Promise<void> {
  loading ??= start(payload).catch((thrown: unknown) => {
    loading = null;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new TimeCoinError(
      'verifier-not-loaded',
      `The receipt verifier could not be loaded: ${why}`,
      'Go online once and try again. If it fails online too, WebAssembly is switched off in this browser.',
      true,
    );
  });
  await loading;
}

let loading: Promise<void> | null = null;

async function start(payload?: Payload): Promise<void> {
  await init({ module_or_path: payload ?? new URL('./timecoin_verifier_bg.wasm', import.meta.url) });
}

/**
 * Checks a receipt in any of its three forms: JSON, the compact text of QR codes, or bytes.
 *
 * Rejects with a `TimeCoinError` whose code says why it proves nothing.
 */
export async function verifyReceipt(receipt: string | Uint8Array, options: VerifyOptions): Promise<VerifiedReceipt> {
  const now = options.now ?? Date.now();
  if (!Number.isSafeInteger(now) || now < 0) {
    throw new TimeCoinError('malformed-time', `${String(now)} is not a time in milliseconds.`, 'Pass Date.now().');
  }
  const anyAge = options.anyAge ?? false;
  const bytes = typeof receipt === 'string' ? new TextEncoder().encode(receipt) : receipt;
  await loadVerifier();
  const answer = verify(bytes, options.spec, JSON.stringify(options.anchors ?? []), BigInt(now), anyAge);
  return read(JSON.parse(answer) as Verdict, anyAge);
}

/** Which build this is: the hash is the payload's, and the same for everyone who builds these sources. */
export async function buildInfo(): Promise<BuildInfo> {
  return VERIFIER;
}

/** The module's answer. */
type Verdict = Valid | { error: { code: string; message: string } };

interface Valid {
  valid: true;
  txid: string;
  outputs: { address: string; amount: string; owner: string }[];
  memo: string;
  height: number;
  block: string;
  time: number;
  final_height: number;
  signed: { weight: number; total: number } | null;
  anchor: Checkpoint;
  anchor_age_ms: number;
}

function read(verdict: Verdict, anyAge: boolean): VerifiedReceipt {
  if ('error' in verdict) {
    const { code, message } = verdict.error;
    throw new TimeCoinError(code, sentence(message), advice(code), code === 'checkpoint-from-future');
  }
  const { signed, memo, txid, outputs, height, block, time, final_height, anchor, anchor_age_ms } = verdict;
  return {
    txid,
    outputs,
    memo: text(memo),
    memo_hex: memo,
    height,
    block,
    time,
    final_height,
    signed_weight: signed === null ? null : String(signed.weight),
    total_weight: signed === null ? null : String(signed.total),
    anchor,
    anchor_age_ms,
    any_age: anyAge,
  };
}

/** The text that bytes in hexadecimal are, if they are text. */
function text(hex: string): string | null {
  const bytes = Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16));
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}

function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`;
}

function advice(code: string): string {
  switch (code) {
    case 'receipt-unknown-anchor':
      return 'Nothing is wrong with the receipt: it starts at a block that is not trusted here. Give a checkpoint of that block.';
    case 'checkpoint-expired':
      return 'Ask for a receipt under a newer checkpoint, or vouch for this one because you know it by other means.';
    case 'checkpoint-from-future':
      return "Set this device's clock and try again.";
    case 'receipt-version':
      return 'The receipt may be of newer software: update this one.';
    case 'malformed-spec':
    case 'malformed-checkpoint':
      return 'This is not about the receipt: the chain spec or checkpoint given here cannot be read.';
    case 'receipt-damaged':
    case 'malformed-json':
    case 'malformed-encoding':
    case 'trailing-bytes':
    case 'too-large':
      return 'Copy or scan the receipt again, from its first character to its last.';
    default:
      return code.startsWith('spec-')
        ? 'This is not about the receipt: no chain can run under the chain spec given here.'
        : 'The receipt proves nothing. Do not accept it as payment; ask for another one.';
  }
}
