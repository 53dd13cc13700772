/** What a wallet's password has to be. The words are what protects the money if the file is lost; the password protects the file. */

export const LENGTH_MIN = 8;

export function passwordProblem(password: string, repeated: string): string | null {
  if ([...password].length < LENGTH_MIN) return `At least ${LENGTH_MIN} characters.`;
  if (/^(.)\1*$/.test(password)) return 'Not one character over and over.';
  return password === repeated ? null : 'The two are not the same.';
}

/** Positions to ask for in a backup check: distinct, in order, from 1. `random` gives a number from 0 up to 1. */
export function pickPositions(words: number, many: number, random: () => number): number[] {
  const positions = Array.from({ length: words }, (_, index) => index + 1);
  const picked: number[] = [];
  while (picked.length < many && positions.length > 0) {
    picked.push(...positions.splice(Math.floor(random() * positions.length), 1));
  }
  return picked.sort((a, b) => a - b);
}

/** Words as they are typed or pasted: any spaces, numbers before them, upper case. */
export function normalizeWords(text: string): string[] {
  return text
    .normalize('NFKD')
    .toLowerCase()
    .split(/[\s,;]+/)
    .map((word) => word.replace(/^\d+[.)]?/, ''))
    .filter((word) => word !== '');
}
