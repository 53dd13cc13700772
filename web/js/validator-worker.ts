/**
 * The Worker of a validator. It holds the Web Lock of its operator key for as long as it lives: no other tab of this origin
 * signs with that key, and a Worker that is ended gives the lock up with its last transaction.
 */

import init, { operatorOf, Validator } from './generated/timecoin_validator.js';
import { dead, isOver, panicked, tell, trapped } from './ending.js';
import type { FromSupervised, ToSupervised } from './supervisor.js';
import { words } from './words.js';
import type { FromValidator, ValidatorStart, ValidatorStatus } from './validator.js';

/** The page is told of changes so often. */
const STATUS_MS = 200;

let validator: Validator | null = null;
const post: (message: FromValidator) => void = tell;

async function start({ options, wasm }: ValidatorStart): Promise<void> {
  try {
    await init({ module_or_path: wasm ?? new URL('./timecoin_validator_bg.wasm', import.meta.url) });
  } catch (thrown) {
    return dead('not_loaded', `The validator could not be loaded: ${words(thrown)}.`, false);
  }
  let operator: string;
  try {
    operator = operatorOf(options.operator_key);
  } catch (thrown) {
    return dead('bad_request', words(thrown), true);
  }
  await navigator.locks.request(`timecoin operator ${operator}`, { ifAvailable: true }, (lock) => {
    if (lock === null) return dead('key_in_use', 'Another tab of this browser votes with this key.', true);
    // Held until the Worker ends, which is after what it writes is written.
    void run(JSON.stringify(options), operator);
    return new Promise<void>(() => undefined);
  });
}

async function run(options: string, operator: string): Promise<void> {
  try {
    validator = new Validator(options, panicked);
  } catch (thrown) {
    return typeof thrown === 'string' ? dead('bad_request', thrown, true) : trapped(thrown);
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

self.addEventListener('message', ({ data }: MessageEvent<ValidatorStart | ToSupervised>) => {
  switch (data.t) {
    case 'start':
      void start(data);
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
