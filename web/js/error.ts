/** A failure with a code that never changes, a sentence about it, and what to do. */
export class TimeCoinError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly advice: string,
    /** Whether the same request may succeed later. */
    readonly retry = false,
  ) {
    super(message);
    this.name = 'TimeCoinError';
  }
}
