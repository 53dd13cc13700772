/**
 * How a Worker of this package ends: it says why, lets the browser finish what was begun to be written, and closes; with it its
 * locks. For Workers only: importing it watches over the Worker.
 */

import type { Code } from './api.js';
import { words } from './words.js';

/** What the browser gets to finish writing before a Worker ends. */
const GRACE_MS = 1_000;

/** A Worker's last message. `final`: another Worker would be of no use, either. */
export interface Dead {
  t: 'dead';
  code: Code;
  message: string;
  final: boolean;
}

let over = false;
/** The words of a panic, said before the trap. */
let panic: string | null = null;

/** Whether the Worker is ending. */
export function isOver(): boolean {
  return over;
}

/** Tells the page, unless the Worker is ending. */
export function tell(message: unknown): void {
  if (!over) self.postMessage(message);
}

/** Hears why the module is about to trap. */
export function panicked(why: string): void {
  panic = why;
}

/** The module trapped, or a script failed. */
export function trapped(thrown: unknown): void {
  dead('crashing', panic ?? words(thrown), false);
}

/** This Worker is of no more use: it says so and ends. */
export function dead(code: Code, message: string, final: boolean): void {
  end({ t: 'dead', code, message, final });
}

/** Ends the Worker; the page hears `last`. */
export function end(last?: Dead): void {
  if (over) return;
  over = true;
  void written().then(() => {
    if (last !== undefined) self.postMessage(last);
    close();
  });
}

/** Transactions that have not ended. WebKit keeps their tables locked if the Worker ends before them. */
const writing = new Set<IDBTransaction>();

const begin = IDBDatabase.prototype.transaction;
IDBDatabase.prototype.transaction = function (...given) {
  if (over) throw new DOMException('this Worker ends', 'InvalidStateError');
  const transaction = begin.apply(this, given);
  writing.add(transaction);
  for (const ended of ['complete', 'abort']) transaction.addEventListener(ended, () => writing.delete(transaction));
  return transaction;
};

/** Waits until what was begun is written; none begins any more. */
async function written(): Promise<void> {
  const late = performance.now() + GRACE_MS;
  while (writing.size > 0 && performance.now() < late) await new Promise((resolve) => setTimeout(resolve, 5));
}

self.addEventListener('error', (event) => {
  event.preventDefault();
  trapped(event.error ?? event.message);
});
self.addEventListener('unhandledrejection', (event) => {
  event.preventDefault();
  trapped(event.reason);
});
