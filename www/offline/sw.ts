/**
 * Keeps the app's own files, so that it opens without a network: a receipt is checked anywhere. What nodes say is
 * never kept here. Online, the page is always the newest one.
 */

declare const self: ServiceWorkerGlobalScope;
/** All files of this build but the page, by their paths; filled in by the build. */
declare const BUILD_FILES: string[];

const files = new Set(BUILD_FILES.map((name) => new URL(name, self.registration.scope).href));
const page = self.registration.scope;
const CACHE = `timecoin-${BUILD_FILES.join()}`;

self.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll([page, ...files]))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener('activate', (event) => {
  const isOld = (name: string): boolean => name.startsWith('timecoin-') && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(isOld).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = request.url.replace(/[?#].*$/, '');
  if (request.method !== 'GET') return;
  // Built files carry a hash of their content in their names.
  if (files.has(url) && url.includes('/assets/')) event.respondWith(fromCache(url, () => fetch(request)));
  else if (files.has(url)) event.respondWith(fetch(request).catch(() => fromCache(url, () => Promise.resolve(Response.error()))));
  else if (request.mode === 'navigate' && url === page) event.respondWith(fetch(request).catch(() => fromCache(page, () => Promise.resolve(Response.error()))));
});

async function fromCache(url: string, otherwise: () => Promise<Response>): Promise<Response> {
  return (await caches.match(url)) ?? otherwise();
}

export {};
