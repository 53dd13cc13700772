/**
 * The operator keys that this browser keeps for validators. Each is encrypted by a password and opened in a Worker; its seed is
 * on this side only where it is asked for by name.
 */

import type { Code } from './api.js';
import { failure, failureOf, type Failed } from './error.js';

/** What a Worker gets for a call: a password takes it a second, on a slow device some more. */
const CALL_MS = 60_000;

export interface OperatorKey {
  /** The public key. */
  operator: string;
  /** Made here, and never started or shown since: it has never signed. */
  unused: boolean;
}

/** An operator's agreement to serve an owner, for `wallet.registerMasternode` and `wallet.rotateOperator`. */
export interface OperatorConsent {
  operator: string;
  operator_proof: string;
}

export interface OperatorKeys {
  list(): Promise<OperatorKey[]>;
  /** Makes a key. */
  create(options: { password: string }): Promise<OperatorKey>;
  /** Keeps a key that was made elsewhere: its seed, 64 hexadecimal digits. Of a key that is here already, the new password counts. */
  add(options: { operatorKey: string; password: string }): Promise<OperatorKey>;
  /** The key's agreement to serve the owner with this address, on the chain of this spec. */
  consent(options: { operator: string; password: string; owner: string; spec: string }): Promise<OperatorConsent>;
  /** The seed, in the clear. Who has it can vote in the masternode's place, and lose its collateral. */
  reveal(options: { operator: string; password: string }): Promise<string>;
  /** Removes the key from this browser for good. */
  remove(options: { operator: string; password: string }): Promise<void>;
  /** Whether a tab of this browser votes with the key now. */
  inUse(operator: string): Promise<boolean>;
}

export interface WorkerPlace {
  /** Where the Worker's script is, if not beside this module. */
  workerUrl?: URL | string;
  /** Where the `.wasm` file is, if not beside the Worker's script. */
  wasmUrl?: URL | string;
}

export interface OperatorCall {
  t: 'operators';
  call: string;
  wasm: string | null;
}

export type OperatorAnswer = { t: 'answer'; text: string } | ({ t: 'refused' } & Failed) | { t: 'dead'; code: Code; message: string };

/** The Web Lock that whoever votes with a key holds. */
export function lockOf(operator: string): string {
  return `timecoin operator ${operator}`;
}

/** The same characters can be other code points on another system. The Worker leaves this to the browser. */
export function nfkd(text: string): string {
  return text.normalize('NFKD');
}

/** The validator's Worker. */
export function startWorker({ workerUrl }: WorkerPlace): Worker {
  return workerUrl === undefined
    ? new Worker(new URL('./validator-worker.js', import.meta.url), { type: 'module' })
    : new Worker(workerUrl, { type: 'module' });
}

export function wasmOf({ wasmUrl }: WorkerPlace): string | null {
  return wasmUrl === undefined ? null : new URL(wasmUrl, document.baseURI).href;
}

/** The operator keys of this browser. Every call has a Worker of its own, so a validator that runs is not held up. */
export function operatorKeys(place: WorkerPlace = {}): OperatorKeys {
  const ask = <T>(call: object): Promise<T> => askWorker<T>(place, JSON.stringify(call));
  return {
    list: () => ask({ list: {} }),
    create: ({ password }) => ask({ create: { password: nfkd(password) } }),
    add: ({ operatorKey, password }) => ask({ add: { key: operatorKey, password: nfkd(password) } }),
    consent: ({ operator, password, owner, spec }) => ask({ consent: { operator, password: nfkd(password), owner, spec } }),
    reveal: ({ operator, password }) => ask({ reveal: { operator, password: nfkd(password) } }),
    remove: ({ operator, password }) => ask({ remove: { operator, password: nfkd(password) } }),
    async inUse(operator) {
      const { held = [] } = await navigator.locks.query();
      return held.some(({ name }) => name === lockOf(operator));
    },
  };
}

function askWorker<T>(place: WorkerPlace, call: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const worker = startWorker(place);
    const late = setTimeout(() => end(failure('crashing', 'The Worker of the operator keys does not answer.')), CALL_MS);
    /** A Worker that has answered ends by itself, once all is written. */
    const end = (why: Error): void => {
      worker.terminate();
      clearTimeout(late);
      reject(why);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      end(failure('not_loaded', event.message || 'The Worker could not be loaded.'));
    };
    worker.onmessage = ({ data }: MessageEvent<OperatorAnswer>) => {
      clearTimeout(late);
      if (data.t === 'answer') resolve(JSON.parse(data.text) as T);
      else if (data.t === 'refused') reject(failureOf(data));
      else reject(failure(data.code, data.message));
    };
    worker.postMessage({ t: 'operators', call, wasm: wasmOf(place) } satisfies OperatorCall);
  });
}
