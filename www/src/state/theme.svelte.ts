/** Light, dark, or as the system has it. */

import { keep, kept } from './kept';

export type Theme = 'system' | 'light' | 'dark';
const THEMES: readonly Theme[] = ['system', 'light', 'dark'];

class ThemeState {
  chosen = $state<Theme>(kept('theme', (value) => THEMES.find((theme) => theme === value) ?? null) ?? 'system');

  constructor() {
    this.#apply();
  }

  next(): void {
    this.chosen = THEMES[(THEMES.indexOf(this.chosen) + 1) % THEMES.length] ?? 'system';
    keep('theme', this.chosen);
    this.#apply();
  }

  #apply(): void {
    if (this.chosen === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = this.chosen;
  }
}

export const theme = new ThemeState();
