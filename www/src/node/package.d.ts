/** The npm package's entries, as far as the app uses them. */
declare module 'timecoin' {
  import type { BuildInfo, ConnectOptions, LightNode, ProbeResult } from '@/node/api';
  export class TimeCoinError extends Error {
    code: string;
    advice: string;
    retry: boolean;
  }
  export function probe(): Promise<ProbeResult>;
  export function connect(options: ConnectOptions): Promise<LightNode>;
  export function buildInfo(): Promise<BuildInfo>;
}

declare module 'timecoin/verifier' {
  import type { VerifiedReceipt, VerifyOptions } from '@/node/api';
  /** Loads the module ahead of its first use. */
  export function loadVerifier(): Promise<void>;
  export function verifyReceipt(receipt: string | Uint8Array, options: VerifyOptions): Promise<VerifiedReceipt>;
}
