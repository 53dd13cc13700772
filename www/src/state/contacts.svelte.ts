/** Names for addresses, kept in this browser only. */

import { checkAddress } from '@/lib/address';
import { keep, kept } from './kept';

export interface Contact {
  name: string;
  address: string;
}

export const NAME_LENGTH_MAX = 60;

function readContacts(value: unknown): Contact[] | null {
  if (!Array.isArray(value)) return null;
  return value.flatMap((item: unknown) => {
    if (typeof item !== 'object' || item === null || !('name' in item) || !('address' in item)) return [];
    const { name, address } = item;
    return typeof name === 'string' && typeof address === 'string' && checkAddress(address).ok ? [{ name, address }] : [];
  });
}

class Contacts {
  list = $state.raw<Contact[]>(kept('contacts', readContacts) ?? []);
  /** False where the browser refuses to keep them. */
  isKept = $state(true);

  nameOf(address: string): string | null {
    return this.list.find((contact) => contact.address === address)?.name ?? null;
  }

  /** Adds a contact, or renames the one with this address. */
  put(contact: Contact): void {
    const others = this.list.filter((other) => other.address !== contact.address);
    this.#set([...others, contact].sort((a, b) => a.name.localeCompare(b.name)));
  }

  remove(address: string): void {
    this.#set(this.list.filter((contact) => contact.address !== address));
  }

  #set(list: Contact[]): void {
    this.list = list;
    this.isKept = keep('contacts', list);
  }
}

export const contacts = new Contacts();
