import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/**
 * Where the light node's package comes from. Without a built package the app is an honest viewer of what its node
 * reports; the tests' fixture stands in for the package where pages are drawn in states that are hard to reach.
 */
function packageAt(mode: string): { index: string; validator: string; verifier: string } {
  const fixture = path('../tests/browser/www-fixture/node.ts');
  // Nothing stands in for a validator.
  if (mode === 'fixture') return { index: fixture, validator: path('src/node/absent.ts'), verifier: fixture };
  const built = (name: string): string => {
    const file = path(`../web/dist/${name}.js`);
    return existsSync(file) ? file : path('src/node/absent.ts');
  };
  return { index: built('index'), validator: built('validator'), verifier: built('verifier') };
}

/** What only those load who validate, which needs a network anyway. */
function isForValidators(name: string): boolean {
  return /validator/.test(name);
}

/** Gives the service worker the list of what was built. */
function fileList(): Plugin {
  return {
    name: 'file-list',
    generateBundle(_options, bundle) {
      const worker = bundle['sw.js'];
      if (worker?.type !== 'chunk') return;
      const built = Object.keys(bundle).filter((name) => name !== 'sw.js' && name !== 'index.html' && !name.endsWith('.map') && !isForValidators(name));
      const names = [...built, 'icon.svg', 'app.webmanifest'].sort();
      worker.code = worker.code.replaceAll('BUILD_FILES', JSON.stringify(names));
    },
  };
}

export default defineConfig(({ mode }) => {
  const at = packageAt(mode);
  return {
    // Relative, so that the app works from any folder of any host.
    base: './',
    plugins: [svelte(), fileList()],
    resolve: {
      alias: [
        { find: /^timecoin\/validator$/, replacement: at.validator },
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
      rolldownOptions: {
        input: { index: path('index.html'), sw: path('offline/sw.ts') },
        // A service worker keeps its name and stands beside the page, whose requests it may then answer.
        output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
      },
    },
    // The package stands beside this folder.
    server: { fs: { allow: ['..'] }, proxy: { '/rpc': { target: process.env['TIMECOIN_NODE'] ?? 'http://127.0.0.1:24201', ws: true } } },
    test: { include: ['src/**/*.test.ts'] },
  };
});
