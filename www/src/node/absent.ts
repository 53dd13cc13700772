/** What stands in for the light node's package in a build that has none: it says so and verifies nothing. */

import type { BuildInfo, LightNode, ProbeResult } from 'timecoin';
import type { OperatorKeys, Validator } from 'timecoin/validator';
import type { VerifiedReceipt } from 'timecoin/verifier';

export class TimeCoinError extends Error {
  code = 'not_in_build';
  advice = 'Build the web package and the app again.';
  retry = false;
}

const WHY = 'This build of the app has no light node in it.';

export const ERRORS = {} as Record<string, readonly [boolean, string]>;

export async function probe(): Promise<ProbeResult> {
  return { ok: false, missing: [{ feature: 'light node', why: WHY }], limited: [] };
}

export async function connect(): Promise<LightNode> {
  throw new TimeCoinError(WHY);
}

export async function buildInfo(): Promise<BuildInfo> {
  throw new TimeCoinError(WHY);
}

export async function loadVerifier(): Promise<void> {
  throw new TimeCoinError('This build of the app has no receipt verifier in it.');
}

export async function verifyReceipt(): Promise<VerifiedReceipt> {
  throw new TimeCoinError('This build of the app has no receipt verifier in it.');
}

const NO_VALIDATOR = 'This build of the app has no validator in it.';

export function operatorKeys(): OperatorKeys {
  const absent = async (): Promise<never> => {
    throw new TimeCoinError(NO_VALIDATOR);
  };
  return { list: absent, create: absent, add: absent, consent: absent, reveal: absent, remove: absent, inUse: absent };
}

export async function validate(): Promise<Validator> {
  throw new TimeCoinError(NO_VALIDATOR);
}
