import { ERRORS, type Code } from './api.js';

/** A failure with a code that never changes, a sentence about it, and what to do. */
export class TimeCoinError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly advice: string,
    /** Whether the same request may succeed later. */
    readonly retry = false,
    /** Where a peer refused something: its own stable word. */
    readonly reason: string | null = null,
  ) {
    super(message);
    this.name = 'TimeCoinError';
  }
}

/** A failure of the table. */
export function failure(code: Code, message: string, reason: string | null = null): TimeCoinError {
  const [retry, advice] = ERRORS[code];
  return new TimeCoinError(code, message, advice, retry, reason);
}

/** What the Worker says in place of an answer. */
export interface Failed {
  error: { code: Code; message: string; reason?: string };
}

/** The answer in a text, or the failure thrown. */
export function read<T>(text: string): T {
  const answer = JSON.parse(text) as T | Failed;
  if (isFailed(answer)) throw failureOf(answer);
  return answer;
}

export function failureOf({ error }: Failed): TimeCoinError {
  return failure(error.code, error.message, error.reason ?? null);
}

function isFailed(answer: unknown): answer is Failed {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}
