/** Addresses as text: enough to catch a wrong character before anyone is asked. The node's code decides. */

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const BECH32M = 0x2bc830a3;
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as const;

export const PREFIXES = { main: 'time', test: 'ttime', dev: 'dtime' } as const;
export type Network = keyof typeof PREFIXES;

export type AddressCheck =
  | { ok: true; address: string; network: Network }
  | { ok: false; reason: 'malformed' | 'damaged' };

/** BIP 350's checksum over five-bit values. */
function polymod(values: readonly number[]): number {
  let sum = 1;
  for (const value of values) {
    const top = sum >>> 25;
    sum = ((sum & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, bit) => {
      if ((top >>> bit) & 1) sum ^= generator;
    });
  }
  return sum >>> 0;
}

/** Checks form and checksum; the address comes back in lower case. */
export function checkAddress(text: string): AddressCheck {
  const trimmed = text.trim();
  const address = trimmed.toLowerCase();
  if (trimmed !== address && trimmed !== trimmed.toUpperCase()) return { ok: false, reason: 'malformed' };
  const separator = address.lastIndexOf('1');
  const prefix = address.slice(0, separator);
  const network = (Object.keys(PREFIXES) as Network[]).find((name) => PREFIXES[name] === prefix);
  if (network === undefined || address.length - separator < 8 || address.length > 90) return { ok: false, reason: 'malformed' };
  const symbols = [...address.slice(separator + 1)].map((symbol) => CHARSET.indexOf(symbol));
  if (symbols.includes(-1)) return { ok: false, reason: 'damaged' };
  const codes = [...prefix].map((letter) => letter.charCodeAt(0));
  const expanded = [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31), ...symbols];
  return polymod(expanded) === BECH32M ? { ok: true, address, network } : { ok: false, reason: 'damaged' };
}

/** Groups of four characters, to compare by eye. */
export function groupAddress(address: string): string[] {
  return address.match(/.{1,4}/g) ?? [];
}
