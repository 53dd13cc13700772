/** Small settings in local storage. Where it is blocked they last as long as the page; the app works without. */

const PREFIX = 'timecoin.';

export function keep(name: string, value: unknown): boolean {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** What was kept, of the form that `read` accepts; null where there is nothing of that form. */
export function kept<T>(name: string, read: (value: unknown) => T | null): T | null {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? null : read(JSON.parse(text));
  } catch {
    return null;
  }
}
