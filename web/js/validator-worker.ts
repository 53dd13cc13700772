/**
 * The Worker of a validator. It holds the Web Lock of its operator key for as long as it lives: no other tab of this origin
 * signs with that key, and a Worker that is ended gives the lock up with its last transaction. The same script answers for the
 * operator keys that this origin keeps, in Workers of their own.
 */

import init, { operatorOf, operators, Validator } from './generated/timecoin_validator.js';
import { ERRORS, type Code } from './api.js';
import { dead, end, isOver, panicked, tell, trapped } from './ending.js';
import { lockOf, type OperatorAnswer, type OperatorCall } from './validator-keys.js';
import type { FromSupervised, ToSupervised } from './supervisor.js';
import { words } from './words.js';
import type { FromValidator, ValidatorStart, ValidatorStatus } from './validator.js';

/** The page is told of changes so often. */
const STATUS_MS = 200;
/** What a Worker that ends gets to give the key to the one in its place. */
const HANDOVER_MS = 5_000;

let validator: Validator | null = null;
const post: (message: FromValidator) => void = tell;

async function load(wasm: string | null): Promise<boolean> {
  try {
    await init({ module_or_path: wasm ?? new URL('./timecoin_validator_bg.wasm', import.meta.url) });
    return true;
  } catch (thrown) {
    dead('not_loaded', `The validator could not be loaded: ${words(thrown)}.`, false);
    return false;
  }
}

/** What the module throws: its failures are JSON, a trap is not. */
function failureIn(thrown: unknown): { code: Code; message: string } | null {
  return typeof thrown === 'string' ? (JSON.parse(thrown) as { code: Code; message: string }) : null;
}

function refused(thrown: unknown): void {
  const failed = failureIn(thrown);
  if (failed === null) return trapped(thrown);
  // Another Worker may find what passes: a store that the browser took away.
  dead(failed.code, failed.message, !ERRORS[failed.code][0]);
}

async function start({ options, again, wasm }: ValidatorStart): Promise<void> {
  if (!(await load(wasm))) return;
  let operator: string;
  try {
    operator = options.operator ?? operatorOf(options.operator_key ?? '');
  } catch (thrown) {
    return refused(thrown);
  }
  const wait: LockOptions = again ? { signal: AbortSignal.timeout(HANDOVER_MS) } : { ifAvailable: true };
  const inUse = (): void => dead('key_in_use', 'Another tab of this browser votes with this key.', true);
  const held = navigator.locks.request(lockOf(operator), wait, (lock) => {
    if (lock === null) return inUse();
    // Held until the Worker ends, which is after what it writes is written.
    void run(JSON.stringify(options), operator);
    return new Promise<void>(() => undefined);
  });
  await held.catch(inUse);
}

async function run(options: string, operator: string): Promise<void> {
  try {
    validator = await Validator.open(options, panicked);
  } catch (thrown) {
    return refused(thrown);
  }
  post({ t: 'operator', operator });
  for (let last = ''; !isOver(); await new Promise((resolve) => setTimeout(resolve, STATUS_MS))) {
    const text = validator.status();
    if (text === last) continue;
    last = text;
    const status = JSON.parse(text) as ValidatorStatus;
    post({ t: 'status', status });
    if (status.stage.kind === 'stopped') return dead('closed', 'The validator was stopped.', true);
    // Another Worker finds a store as it finds it; a halted node must not go on.
    if (status.stage.kind === 'failed') return dead(status.stage.code, status.stage.message, status.stage.code === 'halted');
  }
}

async function answer({ call, wasm }: OperatorCall): Promise<void> {
  if (!(await load(wasm))) return;
  try {
    tell({ t: 'answer', text: await operators(call) } satisfies OperatorAnswer);
  } catch (thrown) {
    const error = failureIn(thrown);
    if (error === null) return trapped(thrown);
    tell({ t: 'refused', error } satisfies OperatorAnswer);
  }
  end();
}

self.addEventListener('message', ({ data }: MessageEvent<ValidatorStart | OperatorCall | ToSupervised>) => {
  switch (data.t) {
    case 'start':
      void start(data);
      break;
    case 'operators':
      void answer(data);
      break;
    case 'ping':
      tell({ t: 'pong' } satisfies FromSupervised);
      break;
    case 'stop':
      if (validator === null) dead('closed', 'The validator was stopped.', true);
      else validator.stop();
      break;
  }
});
