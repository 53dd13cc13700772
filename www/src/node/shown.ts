/** What pages show: an answer that says where it holds, how old it is, and whether this browser has checked it. */

import type { Answer, Coin, Finality, Head } from 'timecoin';

export interface Shown<T> {
  value: T;
  height: number;
  block: string;
  time: number;
  /** When it was true, by this machine's clock. */
  as_of: number;
  finality: Finality | null;
  verified: boolean;
}

/** An answer of the light node, as pages show it. */
export function proved<T>(answer: Answer<T>): Shown<T> {
  const { value, height, block, time, age_ms, finality, verified } = answer;
  return { value, height, block, time, as_of: Date.now() - age_ms, finality, verified };
}

/** A block as it arrives; the time to finality is the reporting node's measurement. */
export interface ReportedBlock extends Head {
  elapsed_ms: number | null;
}

export interface ChainInfo {
  chain: string;
  name: string;
  network: string;
  height: number;
  block: string;
  time: number;
  genesis_time: number;
  supply: string;
  pool: string;
  coins: number;
  validators: number;
  epoch_start: number;
  epoch_blocks: number;
}

/** A coin that a block made or spent. */
export interface AddressEvent extends Coin {
  height: number;
  made: boolean;
}

export interface NetworkView {
  node: string;
  software: string;
  protocol_version: number;
  peers: {
    node: string;
    /** Null where the peer says none: light nodes follow no chain of their own. */
    height: number | null;
    round_trip_ms: number | null;
    role: string | null;
    listen: string | null;
    since: number | null;
  }[];
  round: { height: number; view: number; phase: string; proposer: string | null };
}
