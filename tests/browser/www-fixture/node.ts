/**
 * A stand-in for the npm package, for tests that draw pages in states which are hard to reach with a real node. It
 * verifies nothing and holds no keys; it exists only in `vite build --mode fixture`. What it answers is steered by the
 * test through `sessionStorage['fixture']`, a JSON object of `Plan`.
 */

import type {
  Answer,
  BlockView,
  BuildInfo,
  Evidence,
  Head,
  LightNode,
  PeerView,
  PhaseChange,
  ProbeResult,
  State,
  TransactionView,
  Wallet,
} from 'timecoin';
import type { VerifiedReceipt } from 'timecoin/verifier';

interface Plan {
  state: State;
  /**
   * What fails: `receipt` with an error, `masternodes` with an answer that no page can draw, `pending` by finding no
   * transaction final, `wrong` by knowing no transaction and answering every block's id with another block.
   */
  fail: string;
}

const ADDRESS = 'dtime1qp49f4a64u9gunku8vgz2qtcfgd9et2mlnk7ghfjz9d0t5tfjwfggrv2mmf';
const OTHER = 'dtime1qpt4xks5w9u8kuumwyqk7lu44en9szdqaxq5r2rrd9v97ng6tgrmwl65ss7';
const HEIGHT = 2_203;
const BEGAN = Date.now();

function plan(): Plan {
  const given: unknown = JSON.parse(sessionStorage.getItem('fixture') ?? '{}');
  const base: Plan = { state: { kind: 'verified' }, fail: '' };
  return { ...base, ...(typeof given === 'object' ? given : {}) };
}

function id(seed: number): string {
  return seed.toString(16).padStart(2, '0').repeat(32).slice(0, 64);
}

export class TimeCoinError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly advice: string,
    readonly retry = false,
  ) {
    super(message);
  }
}

function answer<T>(value: T, height = HEIGHT): Answer<T> {
  return {
    value,
    height,
    block: id(height % 256),
    time: BEGAN - 800,
    age_ms: 800,
    finality: {
      signed_weight: '3000000',
      total_weight: '4000000',
      certificates_checked: 12,
      trusted_from: { height: 0, block: id(1), age_ms: 86_400_000, any_age: false },
    },
    verified: true,
  };
}

function head(): Head {
  return { height: HEIGHT, block: id(HEIGHT % 256), time: BEGAN - 800, supply: '69189.6275', proposer: id(7), view: 0, transactions: 2, state_root: id(9) };
}

const PHASES = ['pending', 'preprepare', 'prepare', 'commit', 'finalized'] as const;

function transaction(txid: string, final: boolean): TransactionView {
  return {
    txid,
    phase: final ? 'finalized' : 'pending',
    final,
    inputs: [{ txid: id(20), index: 1, amount: '10', address: ADDRESS }],
    outputs: [
      { txid, index: 0, amount: '1.5', address: OTHER },
      { txid, index: 1, amount: '8.49999681', address: ADDRESS },
    ],
    fee: '0.00000319',
    memo: 'for tea',
    size: 319,
    expires_at: BEGAN + 3_600_000,
    action: { kind: 'transfer' },
    at: final ? { height: HEIGHT, block: id(HEIGHT % 256), time: BEGAN - 800, index: 0 } : null,
  };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function* forever<T>(...items: T[]): AsyncIterable<T> {
  yield* items;
  await new Promise(() => undefined);
}

class FixtureNode implements LightNode {
  /** Wallets are tested on the real package. */
  readonly wallet = new Proxy({} as Wallet, { get: () => async () => Promise.reject(new TimeCoinError('no_wallet', 'The stand-in has no wallet.', 'Use the real package.')) });

  state(): AsyncIterable<State> {
    return forever<State>(plan().state);
  }

  heads(): AsyncIterable<Answer<Head>> {
    return forever(answer(head()));
  }

  async head(): Promise<Answer<Head>> {
    return answer(head());
  }

  async balance(address: string): ReturnType<LightNode['balance']> {
    return answer({ address, amount: '29.89', coins: 2 });
  }

  async coins(address: string): ReturnType<LightNode['coins']> {
    return answer([
      { txid: id(50), index: 0, amount: '29', address },
      { txid: id(51), index: 1, amount: '0.89', address },
    ]);
  }

  async block(heightOrId: number | string): Promise<Answer<BlockView>> {
    const height = typeof heightOrId === 'number' ? heightOrId : HEIGHT;
    if (height > HEIGHT) throw new TimeCoinError('not_found', 'There is no such block yet.', 'Wait for it.');
    const signers = [1, 2, 3].map((signer) => ({ key: id(60 + signer), weight: '1000000' }));
    return answer(
      {
        height,
        block: id(height % 256),
        time: BEGAN - 800,
        proposer: id(7),
        view: 0,
        supply: '69189.6275',
        transactions: [transaction(id(70), true)],
        certificate: { view: 0, signers, signed_weight: '3000000', total_weight: '4000000' },
        previous: id((height - 1) % 256),
      },
      height,
    );
  }

  async transaction(txid: string): Promise<Answer<TransactionView>> {
    if (plan().fail === 'wrong') throw new TimeCoinError('not_found', 'There is no such transaction.', 'Check the id.');
    return answer(transaction(txid, plan().fail !== 'pending'));
  }

  async masternodes(): ReturnType<LightNode['masternodes']> {
    if (plan().fail === 'masternodes') return answer([{ ...JSON.parse('{}') }]);
    return answer([{ id: id(80), operator: id(81), owner: ADDRESS, payout: ADDRESS, tier: 'bronze' as const, class: 'server' as const, weight: '1000000', status: 'active' as const, unlock_at: null, registered_at: 0 }]);
  }

  async submit(): Promise<string> {
    return id(40);
  }

  async waitFinal(txid: string): Promise<Answer<TransactionView>> {
    await wait(450);
    return answer(transaction(txid, true));
  }

  async *phases(txid: string): AsyncIterable<PhaseChange> {
    for (const [index, phase] of PHASES.entries()) {
      await wait(80);
      yield { txid, phase, after_ms: (index + 1) * 80, verified: phase === 'finalized' };
    }
  }

  async receipt(txid: string): ReturnType<LightNode['receipt']> {
    return { txid, json: '{"version":1}', text: `TIMERECEIPT1${'QPZRY9X8'.repeat(60)}`, bytes: new Uint8Array([1, 0]) };
  }

  evidence(): AsyncIterable<Evidence> {
    return forever<Evidence>({ at: BEGAN - 60_000, peer: id(90), url: 'ws://127.0.0.1:25199/p2p', kind: 'forged certificate', height: 2_100, detail: 'a signature is not valid', proved: true });
  }

  peers(): AsyncIterable<PeerView[]> {
    return forever<PeerView[]>([{ url: 'ws://127.0.0.1:25100/p2p', key: id(91), state: 'connected', height: HEIGHT, rtt_ms: 3, retry_at: null }]);
  }

  async info(): ReturnType<LightNode['info']> {
    return { restarts: 0, leader: true, tabs: 1, storage: { used: 2_400_000, quota: 1_000_000_000, persisted: true, problem: null }, build: await buildInfo() };
  }

  async persist(): Promise<boolean> {
    return true;
  }

  async close(): Promise<void> {
    await wait(0);
  }
}

export const ERRORS = {};

export async function probe(): Promise<ProbeResult> {
  return { ok: true, missing: [], limited: [] };
}

export async function connect(): Promise<LightNode> {
  return new FixtureNode();
}

export async function buildInfo(): Promise<BuildInfo> {
  return { version: '0.1.0', wasm_sha256: id(99), bytes: 400_000 };
}

export async function loadVerifier(): Promise<void> {
  await wait(0);
}

export async function verifyReceipt(): Promise<VerifiedReceipt> {
  if (plan().fail === 'receipt') throw new TimeCoinError('receipt_signature', 'A signature in the receipt is not valid.', 'Ask the sender for it again.');
  return {
    txid: id(70),
    outputs: [{ address: OTHER, amount: '1.5', owner: id(71) }],
    memo: 'for tea',
    memo_hex: '666f7220746561',
    height: HEIGHT,
    block: id(HEIGHT % 256),
    time: BEGAN - 800,
    final_height: HEIGHT,
    signed_weight: '3000000',
    total_weight: '4000000',
    anchor: { height: 0, block: id(1), validators: id(2), time: BEGAN - 86_400_000 },
    anchor_age_ms: 86_400_000,
    any_age: false,
  };
}
