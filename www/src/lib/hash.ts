/** Ids as text. */

const ID = /^[0-9a-f]{64}$/;

/** The id in lower case; null where the text is none. */
export function parseId(text: string): string | null {
  const id = text.trim().toLowerCase();
  return ID.test(id) ? id : null;
}

/** First and last characters. What is short stays whole. */
export function shorten(text: string, first = 8, last = 6): string {
  return text.length <= first + last + 1 ? text : `${text.slice(0, first)}…${text.slice(-last)}`;
}
