/** Checks one payment's finality by its receipt: also where no light node runs. */

import type { VerifiedReceipt } from 'timecoin/verifier';
import { NodeError } from '@/node/errors';
import { checkReceipt, loadVerifier } from '@/node/local';
import { node } from './node.svelte';
import { knownSpec } from './spec';

/** Fetches the payment's receipt and checks it in this browser. */
export async function checkPayment(txid: string): Promise<VerifiedReceipt> {
  await loadVerifier();
  const [{ spec }, { text }] = await Promise.all([knownSpec(), node.receipt(txid)]);
  const proved = await checkReceipt(text, { spec });
  if (proved.txid === txid) return proved;
  throw new NodeError('wrong_answer', 'The peer answered with the receipt of another payment.', 'Use another node.', true);
}
