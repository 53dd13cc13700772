/** What can go wrong, in words a person can act on. */

/** A failure with a stable code, and what to do about it. */
export class NodeError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly advice: string,
    /** Whether the same question may succeed later. */
    readonly retry = false,
  ) {
    super(message);
    this.name = 'NodeError';
  }
}

/** A message of the core's code, as a sentence. */
function sentence(message: string): string {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** The same for whatever was thrown, the package's own errors included. */
export function describe(thrown: unknown): NodeError {
  if (thrown instanceof NodeError) return thrown;
  if (thrown instanceof Error) {
    const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : 'unexpected';
    const advice = 'advice' in thrown && typeof thrown.advice === 'string' ? thrown.advice : 'Reload the page.';
    const retry = 'retry' in thrown && thrown.retry === true;
    return new NodeError(code, sentence(thrown.message), advice, retry);
  }
  return new NodeError('unexpected', String(thrown), 'Reload the page.');
}
