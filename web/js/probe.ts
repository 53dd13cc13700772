/** Whether a node can run here, and in words why not. */

export interface Lack {
  feature: string;
  why: string;
}

export interface ProbeResult {
  ok: boolean;
  /** Without these there is no node. */
  missing: Lack[];
  /** Without these there is one, but it keeps nothing from one visit to the next. */
  limited: Lack[];
}

/** A browser that does not say whether the page may store data. */
const DATABASE_MS = 3_000;
const EMPTY_MODULE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);

export async function probe(): Promise<ProbeResult> {
  const missing = lacking();
  const why = await database();
  return { ok: missing.length === 0, missing, limited: why === null ? [] : [{ feature: 'IndexedDB', why }] };
}

/** What a node cannot do without. */
export function lacking(): Lack[] {
  const missing: Lack[] = [];
  const lacks = (feature: string, why: string | null): void => {
    if (why !== null) missing.push({ feature, why });
  };
  lacks('WebAssembly', webAssembly());
  lacks('Worker', typeof Worker === 'function' ? null : 'This browser has no Workers.');
  lacks('WebSocket', typeof WebSocket === 'function' ? null : 'This browser has no WebSockets.');
  lacks('BroadcastChannel', typeof BroadcastChannel === 'function' ? null : 'This browser is too old: tabs cannot share one node.');
  if (!isSecureContext) lacks('secure context', 'The page was not loaded over https: or from this machine, so the browser gives it no locks and no hashes.');
  else lacks('Web Locks', 'locks' in navigator ? null : 'This browser is too old: it has no Web Locks.');
  return missing;
}

function webAssembly(): string | null {
  if (typeof WebAssembly !== 'object') return 'WebAssembly is switched off in this browser, as Lockdown Mode does.';
  try {
    new WebAssembly.Module(EMPTY_MODULE);
    return null;
  } catch {
    return "The page's security policy does not allow WebAssembly ('wasm-unsafe-eval').";
  }
}

async function database(): Promise<string | null> {
  const name = 'timecoin-probe';
  const refused = 'The browser lets this page store no data, as in some private windows.';
  if (typeof indexedDB !== 'object' || indexedDB === null) return refused;
  const opened = new Promise<string | null>((resolve) => {
    try {
      const request = indexedDB.open(name);
      request.onerror = () => resolve(refused);
      request.onsuccess = () => {
        request.result.close();
        indexedDB.deleteDatabase(name);
        resolve(null);
      };
    } catch {
      resolve(refused);
    }
  });
  const late = new Promise<string>((resolve) => setTimeout(resolve, DATABASE_MS, 'The browser does not say whether this page may store data.'));
  return Promise.race([opened, late]);
}
