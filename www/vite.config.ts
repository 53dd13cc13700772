import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/**
 * Where the light node's package comes from. Without a built package the app is an honest viewer of what its node
 * reports; the tests' fixture stands in for the package where pages are drawn in states that are hard to reach.
 */
function packageAt(mode: string): { index: string; verifier: string } {
  const fixture = path('../tests/browser/www-fixture/node.ts');
  if (mode === 'fixture') return { index: fixture, verifier: fixture };
  const built = (name: string): string => {
    const file = path(`../web/dist/${name}.js`);
    return existsSync(file) ? file : path('src/node/absent.ts');
  };
  return { index: built('index'), verifier: built('verifier') };
}

export default defineConfig(({ mode }) => {
  const at = packageAt(mode);
  return {
    // Relative, so that the app works from any folder of any host.
    base: './',
    plugins: [svelte()],
    resolve: {
      alias: [
        { find: /^timecoin\/verifier$/, replacement: at.verifier },
        { find: /^timecoin$/, replacement: at.index },
        { find: /^@\//, replacement: `${path('src')}/` },
      ],
    },
    worker: { format: 'es' },
    build: {
      target: 'es2022',
      cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
      outDir: mode === 'fixture' ? 'dist-fixture' : 'dist',
      // The content security policy has no room for inlined files.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
    server: { proxy: { '/rpc': { target: process.env['TIMECOIN_NODE'] ?? 'http://127.0.0.1:24201', ws: true } } },
    test: { include: ['src/**/*.test.ts'] },
  };
});
