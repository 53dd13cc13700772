/**
 * A stand-in for the npm package, for tests that draw pages in states which are hard to reach with a real node. It
 * verifies nothing and holds no keys; it exists only in `vite build --mode fixture`. What it answers is steered by the
 * test through `sessionStorage['fixture']`, a JSON object of `Plan`.
 */

import { parseAmount, toDecimal } from '../../../www/src/lib/amount';
import type {
  Answer,
  BlockView,
  BuildInfo,
  Evidence,
  Head,
  HistoryEntry,
  LightNode,
  Payment,
  PeerView,
  PhaseChange,
  ProbeResult,
  Quote,
  State,
  TransactionView,
  VerifiedReceipt,
  WalletAddress,
  WalletApi,
  WalletView,
} from '../../../www/src/node/api';

interface Plan {
  wallet: 'absent' | 'none' | 'locked' | 'unlocked';
  backedUp: boolean;
  state: State;
  /** What fails: `quote` and `receipt` with an error, `masternodes` with an answer that no page can draw, `wrong` by knowing no transaction and answering every
   * block's id with another block. */
  fail: string;
}

const ADDRESS = 'dtime1qp49f4a64u9gunku8vgz2qtcfgd9et2mlnk7ghfjz9d0t5tfjwfggrv2mmf';
const OTHER = 'dtime1qpt4xks5w9u8kuumwyqk7lu44en9szdqaxq5r2rrd9v97ng6tgrmwl65ss7';
const PASSWORD = 'correct horse';
const WORDS = 'abandon ability able about above absent absorb abstract absurd abuse access accident'.split(' ');
const HEIGHT = 2_203;
const FEE = '0.00000319';
const BEGAN = Date.now();

function plan(): Plan {
  const given: unknown = JSON.parse(sessionStorage.getItem('fixture') ?? '{}');
  const base: Plan = { wallet: 'none', backedUp: false, state: { kind: 'verified' }, fail: '' };
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

function history(): HistoryEntry[] {
  const at = (entry: Partial<HistoryEntry> & Pick<HistoryEntry, 'txid' | 'kind' | 'amount'>, back: number): HistoryEntry => ({
    height: HEIGHT - back,
    time: BEGAN - back * 60_000,
    fee: null,
    counterparties: [OTHER],
    memo: null,
    ...entry,
  });
  return [
    at({ txid: id(31), kind: 'received', amount: '12.5', memo: 'rent' }, 3),
    at({ txid: id(32), kind: 'sent', amount: '-1.5', fee: '0.00000319' }, 40),
    at({ txid: id(33), kind: 'reward', amount: '0.25', counterparties: [] }, 400),
  ];
}

class FixtureWallet implements WalletApi {
  #state = plan().wallet;
  #backedUp = plan().backedUp;
  #lockAt = BEGAN + 15 * 60_000;
  #addresses: WalletAddress[] = [
    { address: OTHER, label: 'shop', used: true, amount: '12.5' },
    { address: ADDRESS, label: '', used: false, amount: null },
  ];

  #check(password: string): void {
    if (password !== PASSWORD) throw new TimeCoinError('password', 'The password is wrong.', 'Try it again.');
  }

  async status(): ReturnType<WalletApi['status']> {
    const unlocked = this.#state === 'unlocked';
    return { exists: this.#state !== 'none', unlocked, backed_up: this.#backedUp, lock_at: unlocked ? this.#lockAt : null };
  }

  async create(): Promise<{ words: string[] }> {
    this.#state = 'unlocked';
    return { words: WORDS };
  }

  async restore(words: string): Promise<void> {
    if (words !== WORDS.join(' ')) throw new TimeCoinError('words', 'These words are no wallet’s: one is wrong, or two have changed places.', 'Compare them with what you wrote down.');
    this.#state = 'unlocked';
    this.#backedUp = true;
  }

  async confirmBackup(positions: { at: number; word: string }[]): Promise<void> {
    if (positions.some(({ at, word }) => WORDS[at - 1] !== word)) throw new TimeCoinError('backup', 'At least one word is not the right one.', 'Look at the words again.');
    this.#backedUp = true;
  }

  async unlock(password: string, minutes = 15): Promise<void> {
    this.#check(password);
    this.#state = 'unlocked';
    this.#lockAt = Date.now() + minutes * 60_000;
  }

  async lock(): Promise<void> {
    this.#state = 'locked';
  }

  async words(password: string): Promise<string[]> {
    this.#check(password);
    return WORDS;
  }

  async forget(password: string): Promise<void> {
    this.#check(password);
    this.#state = 'none';
  }

  async address(): Promise<string> {
    return ADDRESS;
  }

  async newAddress(label = ''): Promise<string> {
    this.#addresses = [...this.#addresses, { address: ADDRESS, label, used: false, amount: null }].slice(-2);
    return ADDRESS;
  }

  async addresses(): Promise<WalletAddress[]> {
    return this.#addresses;
  }

  watch(): AsyncIterable<WalletView> {
    return forever<WalletView>({
      height: HEIGHT,
      total: '1234.56789',
      spendable: '234.56789',
      pending: '0',
      locked: '1000',
      verified: true,
      age_ms: 800,
      scanning: null,
      complete: true,
    });
  }

  async history(): ReturnType<WalletApi['history']> {
    return answer({ from: 0, complete: true, entries: history() });
  }

  async quote(pay: Payment): Promise<Quote> {
    if (plan().fail === 'quote') throw new TimeCoinError('not_enough', 'There is not enough that can be spent.', 'Send less, or wait for pending payments.');
    const amount = pay.amount === 'max' ? '234.56788681' : pay.amount;
    const total = (parseAmount(amount) ?? 0n) + (parseAmount(FEE) ?? 0n);
    return { amount, fee: FEE, total: toDecimal(total), inputs: 1, size: 319 };
  }

  async send(): Promise<{ txid: string }> {
    await wait(30);
    return { txid: id(40) };
  }
}

class FixtureNode implements LightNode {
  declare wallet?: WalletApi;

  constructor() {
    if (plan().wallet !== 'absent') this.wallet = new FixtureWallet();
  }

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
    return answer(transaction(txid, true));
  }

  async masternodes(): ReturnType<LightNode['masternodes']> {
    if (plan().fail === 'masternodes') return answer([{ ...JSON.parse('{}') }]);
    return answer([{ id: id(80), operator: id(81), owner: ADDRESS, tier: 'bronze' as const, class: 'server', weight: '1000000', status: 'active', registered_at: 0 }]);
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
    outputs: [{ address: OTHER, amount: '1.5' }],
    memo: 'for tea',
    height: HEIGHT,
    block: id(HEIGHT % 256),
    time: BEGAN - 800,
    final_height: HEIGHT,
    signed_weight: '3000000',
    total_weight: '4000000',
    anchor: { height: 0, block: id(1), validators: id(2), time: BEGAN - 86_400_000 },
    anchor_age_ms: 86_400_000,
  };
}
