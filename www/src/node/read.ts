/** Reading JSON that came from outside: every member is checked before it gets a type. */

import { NodeError } from './errors';

export type Json = Record<string, unknown>;

function wrong(what: string, name: string): never {
  throw new NodeError('bad_answer', `The node's answer has no ${what} in "${name}".`, 'The node may be of another version, or faulty.');
}

/** The node means something that this version does not know. */
export function unknown(name: string): never {
  throw new NodeError('bad_answer', `The node named an unknown ${name}.`, 'The node may be of another version.');
}

export function asObject(value: unknown, name = 'answer'): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : wrong('object', name);
}

export function asList(value: unknown, name = 'answer'): unknown[] {
  return Array.isArray(value) ? value : wrong('list', name);
}

export function text(from: Json, name: string): string {
  const value = from[name];
  return typeof value === 'string' ? value : wrong('text', name);
}

export function count(from: Json, name: string): number {
  const value = from[name];
  return typeof value === 'number' && Number.isFinite(value) ? value : wrong('number', name);
}

export function flag(from: Json, name: string): boolean {
  const value = from[name];
  return typeof value === 'boolean' ? value : wrong('yes or no', name);
}

/** One of some words, however the node writes them: its names of tiers begin with a capital. */
export function oneOf<T extends string>(from: Json, name: string, words: readonly T[]): T {
  const word = text(from, name).toLowerCase();
  return words.find((known) => known === word) ?? unknown(name);
}

/** Null stays null; what is absent is null too. */
export function countOrNull(from: Json, name: string): number | null {
  return from[name] === null || from[name] === undefined ? null : count(from, name);
}

export function textOrNull(from: Json, name: string): string | null {
  return from[name] === null || from[name] === undefined ? null : text(from, name);
}

export function list<T>(from: Json, name: string, read: (item: Json) => T): T[] {
  return asList(from[name], name).map((item) => read(asObject(item, name)));
}
