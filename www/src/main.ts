import './app.css';

import { mount } from 'svelte';

import App from './App.svelte';

const target = document.getElementById('app');
// Where service workers are not allowed the app needs a network to open, and nothing else changes.
if (import.meta.env.PROD) void navigator.serviceWorker?.register('./sw.js').catch(() => undefined);

if (target !== null) {
  target.replaceChildren();
  mount(App, { target });
}
