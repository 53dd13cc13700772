/** Which page a path shows. */

import type { Component } from 'svelte';

import NotFound from './pages/NotFound.svelte';
import Overview from './pages/Overview.svelte';
import type { Route } from './state/router.svelte';

export const SECTIONS = [
  { path: '/', name: 'Explorer' },
] as const;

export type Section = (typeof SECTIONS)[number]['path'];

export interface Page {
  component: Component<Record<string, string>>;
  title: string;
  section: Section | null;
  props: Record<string, string>;
  /** Another key is another page, which starts anew. */
  key: string;
}

function page(component: unknown, title: string, section: Section | null, props: Record<string, string> = {}): Page {
  // Each page states its properties itself; here they are all texts.
  return { component: component as Component<Record<string, string>>, title, section, props, key: title + JSON.stringify(props) };
}

export function pageFor({ path }: Route): Page {
  const [first = ''] = path;
  switch (first) {
    case '':
      return page(Overview, 'Explorer', '/');
    default:
      return page(NotFound, 'No such page', null);
  }
}
