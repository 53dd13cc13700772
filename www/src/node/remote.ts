/**
 * What the node that serves this page reports, over JSON-RPC. Nothing here is checked in this browser, and every
 * answer says so. It is what is left where WebAssembly is blocked, and the source of data that has no proof.
 */

import type { Action, Balance, BlockView, Certificate, Class, Coin, Head, Masternode, Phase, Receipt, Status, Tier, TransactionView } from 'timecoin';
import { NodeError } from './errors';
import { asList, asObject, count, countOrNull, flag, list, oneOf, text, textOrNull, unknown, type Json } from './read';
import { Feed, Rpc } from './rpc';
import type { AddressEvent, ChainInfo, NetworkView, ReportedBlock, Shown } from './shown';

interface At {
  height: number;
  block: string;
  time: number;
}

function readAt(value: unknown): At {
  const at = asObject(value, 'at');
  return { height: count(at, 'height'), block: text(at, 'block'), time: count(at, 'time') };
}

function reported<T>(value: T, at: At): Shown<T> {
  return { value, height: at.height, block: at.block, time: at.time, as_of: Date.now(), finality: null, verified: false };
}

function readCoin(coin: Json): Coin {
  return { txid: text(coin, 'txid'), index: count(coin, 'index'), amount: text(coin, 'amount'), address: text(coin, 'address') };
}

const PHASES: readonly Phase[] = ['pending', 'preprepare', 'prepare', 'commit', 'finalized', 'dropped'];
const TIERS: readonly Tier[] = ['bronze', 'silver', 'gold'];
const CLASSES: readonly Class[] = ['server', 'browser'];
const STATUSES: readonly Status[] = ['active', 'retired', 'ejected'];

function readPhase(from: Json): Phase {
  return oneOf(from, 'phase', PHASES);
}

function readAction(from: Json): Action {
  const kind = text(from, 'kind');
  switch (kind) {
    case 'transfer':
      return { kind };
    case 'register_masternode':
      return { kind, tier: oneOf(from, 'tier', TIERS), class: oneOf(from, 'class', CLASSES), operator: text(from, 'operator'), payout: text(from, 'payout') };
    case 'retire_masternode':
      return { kind, masternode: text(from, 'masternode') };
    case 'rotate_operator':
      return { kind, masternode: text(from, 'masternode'), replaces: text(from, 'replaces'), operator: text(from, 'operator') };
    case 'reward':
      return { kind, height: count(from, 'height') };
    default:
      return unknown('kind');
  }
}

function readTransaction(from: Json, place: TransactionView['at'], phase: Phase): TransactionView {
  const memo = text(from, 'memo');
  return {
    txid: text(from, 'txid'),
    phase,
    final: phase === 'finalized',
    inputs: list(from, 'inputs', readCoin),
    outputs: list(from, 'outputs', readCoin),
    fee: text(from, 'fee'),
    memo: memo === '' ? null : memo,
    size: count(from, 'size'),
    expires_at: count(from, 'expires_at'),
    action: readAction(asObject(from['action'], 'action')),
    at: place,
  };
}

function readHead(header: Json, transactions: number | null): Head {
  return {
    height: count(header, 'height'),
    block: text(header, 'block'),
    time: count(header, 'time'),
    supply: text(header, 'supply'),
    proposer: text(header, 'proposer'),
    view: count(header, 'view'),
    transactions,
    state_root: text(header, 'state_root'),
  };
}

interface SetMember {
  key: string;
  weight: number;
  masternode: string;
}

export class Remote {
  readonly #rpc: Rpc;
  readonly feed: Feed;
  /** The last validator set, by its hash: it rarely changes. */
  #set: { hash: string; total: number; members: SetMember[] } | null = null;

  constructor(base: URL, onLink: (up: boolean) => void) {
    this.#rpc = new Rpc(new URL('rpc', base));
    const socket = new URL('rpc', base);
    socket.protocol = socket.protocol === 'https:' ? 'wss:' : 'ws:';
    this.feed = new Feed(socket, onLink);
  }

  /** Every final block from now on, with its time to finality at the node. */
  onBlock(receive: (block: ReportedBlock) => void): () => void {
    return this.feed.subscribe('blocks', (news) =>
      receive({ ...readHead(news, count(news, 'transactions')), elapsed_ms: countOrNull(news, 'elapsed_ms') }),
    );
  }

  /** Phases of transactions from now on. */
  onPhase(txids: readonly string[] | null, receive: (txid: string, phase: Phase) => void): () => void {
    return this.feed.subscribe(
      'transactions',
      (news) => {
        const phase = readPhase(news);
        for (const txid of asList(news['txids'], 'txids')) if (typeof txid === 'string') receive(txid, phase);
      },
      txids,
    );
  }

  async chain(): Promise<ChainInfo> {
    const info = asObject(await this.#rpc.call('getblockchaininfo'));
    return {
      chain: text(info, 'chain'),
      name: text(info, 'name'),
      network: text(info, 'network'),
      height: count(info, 'blocks'),
      block: text(info, 'bestblockhash'),
      time: count(info, 'time'),
      genesis_time: count(info, 'genesis_time'),
      supply: text(info, 'supply'),
      pool: text(info, 'pool'),
      coins: count(info, 'coins'),
      validators: count(info, 'validators'),
      epoch_start: count(info, 'epoch_start'),
      epoch_blocks: count(info, 'epoch_blocks'),
    };
  }

  /** Headers of heights, newest first; those that cannot be had are left out. */
  async recent(newest: number, many: number): Promise<ReportedBlock[]> {
    const heights = Array.from({ length: many }, (_, back) => newest - back).filter((height) => height >= 0);
    const blocks = await Promise.allSettled(
      heights.map(async (height) => {
        const block = asObject(await this.#rpc.call('getblock', { block: height }));
        return { ...readHead(block, asList(block['transactions'], 'transactions').length), elapsed_ms: null };
      }),
    );
    return blocks.flatMap((block) => (block.status === 'fulfilled' ? [block.value] : []));
  }

  async balance(address: string): Promise<Shown<Balance>> {
    const answer = asObject(await this.#rpc.call('getbalance', { address }));
    const value = { address: text(answer, 'address'), amount: text(answer, 'balance'), coins: count(answer, 'coins') };
    return reported(value, readAt(answer['at']));
  }

  async coins(address: string): Promise<Shown<Coin[]>> {
    const answer = asObject(await this.#rpc.call('listunspent', { address }));
    return reported(list(answer, 'coins', readCoin), readAt(answer['at']));
  }

  async block(heightOrId: number | string): Promise<Shown<BlockView>> {
    const block = asObject(await this.#rpc.call('getblock', { block: heightOrId, verbose: true }));
    const at = { height: count(block, 'height'), block: text(block, 'block'), time: count(block, 'time') };
    const transactions = asList(block['transactions'], 'transactions').map((item, index) =>
      readTransaction(asObject(item), { ...at, index }, 'finalized'),
    );
    const view: BlockView = {
      ...at,
      proposer: text(block, 'proposer'),
      view: count(block, 'view'),
      supply: text(block, 'supply'),
      transactions,
      certificate: await this.#certificate(block, at.height),
      previous: text(block, 'parent'),
    };
    return reported(view, at);
  }

  async transaction(txid: string): Promise<Shown<TransactionView>> {
    const answer = asObject(await this.#rpc.call('gettransaction', { txid }));
    const place = answer['at'] === undefined ? null : { ...readAt(answer['at']), index: count(answer, 'index') };
    const view = readTransaction(answer, place, readPhase(answer));
    if (place !== null) return reported(view, place);
    const info = await this.#info();
    return reported(view, { height: count(info, 'blocks'), block: text(info, 'bestblockhash'), time: count(info, 'time') });
  }

  async masternodes(): Promise<Shown<ReportedMasternode[]>> {
    const answer = asObject(await this.#rpc.call('masternodelist'));
    return reported(list(answer, 'masternodes', readMasternode), readAt(answer['at']));
  }

  async receipt(txid: string): Promise<Receipt> {
    const answer = asObject(await this.#rpc.call('getreceipt', { txid }));
    const line = text(answer, 'text');
    const json = JSON.stringify(answer['receipt'], null, 2);
    return { txid, json, text: line, bytes: new TextEncoder().encode(line) };
  }

  /** What blocks did to an address, newest first. There is no proof that nothing is left out. */
  async history(address: string, many: number, from?: number): Promise<Shown<AddressEvent[]>> {
    const answer = asObject(await this.#rpc.call('getaddresshistory', { address, count: many, ...(from === undefined ? {} : { from }) }));
    const events = list(answer, 'reported', (event) => ({
      ...readCoin(event),
      height: count(event, 'height'),
      made: flag(event, 'made'),
    }));
    return reported(events, readAt(answer['at']));
  }

  async pending(): Promise<{ size: number; bytes: number; txids: string[] }> {
    const info = asObject(await this.#rpc.call('getmempoolinfo'));
    const ids = asList(await this.#rpc.call('getrawmempool'));
    return { size: count(info, 'size'), bytes: count(info, 'bytes'), txids: ids.filter((id) => typeof id === 'string') };
  }

  async feePerKb(): Promise<number> {
    return count(asObject(await this.#rpc.call('estimatefee')), 'fee_per_kb');
  }

  async network(): Promise<NetworkView> {
    const [info, peers, round] = await Promise.all([
      this.#rpc.call('getnetworkinfo').then((answer) => asObject(answer)),
      this.#rpc.call('getpeerinfo').then((answer) => asList(answer).map((peer) => asObject(peer))),
      this.#rpc.call('getconsensusinfo').then((answer) => asObject(answer)),
    ]);
    return {
      node: text(info, 'node'),
      software: text(info, 'software'),
      protocol_version: count(info, 'protocol_version'),
      peers: peers.map((peer) => ({
        node: text(peer, 'node'),
        height: peer['role'] === 'light' ? null : count(peer, 'height'),
        round_trip_ms: countOrNull(peer, 'round_trip_ms'),
        role: textOrNull(peer, 'role'),
        listen: textOrNull(peer, 'listen'),
        since: countOrNull(peer, 'since'),
      })),
      round: { height: count(round, 'height'), view: count(round, 'view'), phase: text(round, 'phase'), proposer: textOrNull(round, 'proposer') },
    };
  }

  close(): void {
    this.feed.close();
  }

  async #info(): Promise<Json> {
    return asObject(await this.#rpc.call('getblockchaininfo'));
  }

  /** The certificate with the signers' keys and weights, which it names by their position in the set. */
  async #certificate(block: Json, height: number): Promise<Certificate | null> {
    if (block['certificate'] === null) return null;
    const certificate = asObject(block['certificate'], 'certificate');
    const set = await this.#validators(text(block, 'validators_hash'), height);
    const positions = asList(certificate['signers'], 'signers');
    const signers = positions.flatMap((position) => {
      const member = typeof position === 'number' ? set.members[position] : undefined;
      return member === undefined ? [] : [member];
    });
    if (signers.length !== positions.length) {
      throw new NodeError('bad_answer', 'The certificate names signers that are not in the set.', 'Ask another node.');
    }
    const signed = signers.reduce((sum, signer) => sum + signer.weight, 0);
    return {
      view: count(certificate, 'view'),
      signers: signers.map(({ key, weight }) => ({ key, weight: weight.toString() })),
      signed_weight: signed.toString(),
      total_weight: set.total.toString(),
    };
  }

  async #validators(hash: string, height: number): Promise<{ total: number; members: SetMember[] }> {
    if (this.#set?.hash === hash) return this.#set;
    const answer = asObject(await this.#rpc.call('getvalidators', { height }));
    const members = list(answer, 'validators', (member) => ({
      key: text(member, 'key'),
      weight: count(member, 'weight'),
      masternode: text(member, 'masternode'),
    }));
    this.#set = { hash: text(answer, 'hash'), total: count(answer, 'total'), members };
    return this.#set;
  }
}

/** A masternode with what only its node counts. */
export interface ReportedMasternode extends Masternode {
  collateral: string;
  /** Null outside the set. */
  signed_this_epoch: number | null;
  last_signed: number | null;
}

function readMasternode(from: Json): ReportedMasternode {
  const weight = countOrNull(from, 'weight');
  return {
    id: text(from, 'masternode'),
    operator: text(from, 'operator'),
    owner: text(from, 'owner'),
    tier: oneOf(from, 'tier', TIERS),
    class: oneOf(from, 'class', CLASSES),
    weight: weight === null ? null : weight.toString(),
    status: oneOf(from, 'status', STATUSES),
    unlock_at: countOrNull(from, 'unlock_at'),
    registered_at: count(from, 'registered_at'),
    payout: text(from, 'payout'),
    collateral: text(asObject(from['collateral'], 'collateral'), 'amount'),
    signed_this_epoch: countOrNull(from, 'signed_this_epoch'),
    last_signed: countOrNull(from, 'last_signed'),
  };
}
