/** Builds the app, and serves a build as the node does, policy included, at any folder, with the node's sockets beside it. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { connect } from 'node:net';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';

const KINDS = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.json': 'application/json',
};

/** How Chromium is started. */
export const CHROMIUM = {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
};

/** Builds the app in `www`. */
export async function build(www, parameters) {
  const vite = join(www, 'node_modules', 'vite', 'bin', 'vite.js');
  await promisify(execFile)(process.execPath, [vite, 'build', '--logLevel', 'error', ...parameters], { cwd: www });
}

/** The policy as native/src/web.rs sends it: read from there, so that the tests follow it. */
async function contentSecurityPolicy(root) {
  const source = await readFile(join(root, 'native/src/web.rs'), 'utf8');
  const match = /CONTENT_SECURITY_POLICY: &str = "([^;]*(?:[^"\\]|\\[^])*)";/.exec(source);
  if (match === null) throw new Error('native/src/web.rs has no content security policy');
  return match[1].replace(/\\\s*\n\s*/g, '');
}

/**
 * Starts the server on a free port.
 * @param {{ root: string, folder: string, at?: string, node?: string | null, files?: Record<string, string>, wasm?: boolean, gate?: { shut: boolean } }} options
 * `folder`: the build; `at`: path it is served at; `node`: `host:port` of a node; `files`: further files by name;
 * `wasm: false` blocks WebAssembly by the policy; while `gate.shut`, nothing that a page says over a socket arrives.
 */
export async function serve({ root, folder, at = '/', node = null, files = {}, wasm = true, gate = { shut: false } }) {
  const sent = await contentSecurityPolicy(root);
  const policy = wasm ? sent : sent.replace(" 'wasm-unsafe-eval'", '');
  const [host, port] = (node ?? ':').split(':');
  const server = createServer(async (incoming, response) => {
    const path = new URL(incoming.url ?? '/', 'http://host').pathname;
    if (!path.startsWith(at)) return response.writeHead(404).end();
    const name = path.slice(at.length);
    if (name === 'rpc' && node !== null) {
      const headers = { ...incoming.headers, host: node };
      delete headers.origin;
      const onward = request({ host, port, path: '/rpc', method: incoming.method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.writeHead(502).end());
      return incoming.pipe(onward);
    }
    const wanted = name === '' ? 'index.html' : name;
    const bytes = files[wanted] ?? (await readFile(join(folder, wanted)).catch(() => null));
    if (bytes === null || wanted.includes('..')) return response.writeHead(404).end();
    response.writeHead(200, {
      'content-type': KINDS[extname(wanted)] ?? 'application/octet-stream',
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
    });
    response.end(bytes);
  });
  server.on('upgrade', (incoming, socket, head) => {
    const name = (incoming.url ?? '').slice(at.length);
    if (node === null || !['rpc', 'p2p'].includes(name)) return socket.destroy();
    const onward = connect({ host, port: Number(port) }, () => {
      const kept = Object.entries(incoming.headers).filter(([key]) => key !== 'host' && key !== 'origin');
      const lines = [`GET /${name} HTTP/1.1`, `Host: ${node}`, ...kept.map(([key, value]) => `${key}: ${value}`)];
      onward.write(`${lines.join('\r\n')}\r\n\r\n`);
      onward.write(head);
      onward.pipe(socket);
      socket.on('data', (bytes) => {
        if (!gate.shut) onward.write(bytes);
      });
      socket.on('end', () => onward.end());
    });
    const close = () => {
      socket.destroy();
      onward.destroy();
    };
    onward.on('error', close);
    onward.on('close', close);
    socket.on('error', close);
    socket.on('close', close);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  // A test that fails before it closes its server must not keep the run from ending.
  server.unref();
  const address = server.address();
  return {
    url: `http://127.0.0.1:${address.port}${at}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
