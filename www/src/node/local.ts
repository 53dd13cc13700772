/** The light node of the npm package, started in its Worker. The only file of the app that loads the package. */

import type { Code, LightNode } from 'timecoin';
import type { OperatorKeys, Validator, ValidatorOptions } from 'timecoin/validator';
import type { VerifiedReceipt, VerifyOptions } from 'timecoin/verifier';
import { NodeError } from './errors';

/** The chain spec that the serving node publishes beside the app. */
async function chainSpec(base: URL): Promise<string> {
  const response = await fetch(new URL('spec.json', base), { cache: 'no-cache' }).catch(() => null);
  const spec = response?.ok === true ? await response.text() : '';
  // A host that knows no such file may answer with the app's own page.
  if (spec === '' || spec.trimStart().startsWith('<')) {
    throw new NodeError('no_spec', 'The node does not publish its chain spec.', 'Open the page at a node that does, or choose the spec as a file where that is offered.', true);
  }
  return spec;
}

/** Starts the light node, or says in words why it cannot run here. */
export async function openLocal(base: URL): Promise<LightNode> {
  const { connect, probe } = await import('timecoin');
  const { ok, missing } = await probe();
  if (!ok) {
    const why = missing.map((lack) => lack.why).join(' ');
    const code = missing[0]?.feature === 'light node' ? 'not_in_build' : 'cannot_run_here';
    throw new NodeError(code, why, 'Nothing on this page is checked by your browser. Use a browser that allows WebAssembly and Workers here.');
  }
  return connect({ spec: await chainSpec(base), peers: [relayAt(base)] });
}

/** The serving node as a peer. The package dials those that the chain spec names as well. */
function relayAt(base: URL): string {
  const relay = new URL('p2p', base);
  relay.protocol = relay.protocol === 'https:' ? 'wss:' : 'ws:';
  return relay.href;
}

/** The operator keys of this browser. */
export async function operatorKeys(): Promise<OperatorKeys> {
  return (await import('timecoin/validator')).operatorKeys();
}

/** Starts a validator in this tab. */
export async function startValidator(base: URL, key: Pick<ValidatorOptions, 'operator' | 'password' | 'operatorKey'>): Promise<Validator> {
  const { validate } = await import('timecoin/validator');
  return validate({ ...key, spec: await chainSpec(base), peers: [relayAt(base)] });
}

/** Loads the verifier: it then needs no network, and the time a check takes is the check's. */
export async function loadVerifier(): Promise<void> {
  await (await import('timecoin/verifier')).loadVerifier();
}

/** Checks a receipt with the package's small verifier; needs no node and no network. */
export async function checkReceipt(receipt: string | Uint8Array, options: VerifyOptions): Promise<VerifiedReceipt> {
  return (await import('timecoin/verifier')).verifyReceipt(receipt, options);
}

/** What to do about a failure of this code. */
export async function adviceOf(code: Code): Promise<string> {
  return (await import('timecoin')).ERRORS[code][1];
}

export { chainSpec };
