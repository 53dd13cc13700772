// A loopback web server for the pages of the tests, under the policy the app is served with.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

export const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
export const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:";

/** Serves folders: `{ "/": folder, "/module/": folder }`; the longest prefix that has the file wins. */
export async function serve(folders, policy = POLICY, types = TYPES) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    for (const prefix of prefixes.filter((candidate) => path.startsWith(candidate))) {
      const below = normalize(`/${path.slice(prefix.length)}`);
      const bytes = await readFile(join(folders[prefix], below)).catch(() => null);
      if (bytes === null) continue;
      const type = types[extname(below)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "content-security-policy": policy }).end(bytes);
      return;
    }
    response.writeHead(404, { "content-type": "text/plain" }).end("not here");
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The folder of the tests' own pages. */
export const PAGES = fileURLToPath(new URL("../pages/", import.meta.url));

/** The folder of the wasm module built for tests: `cargo xtask browsers` says where. */
export const MODULE =
  process.env.TIMECOIN_MODULE ?? fileURLToPath(new URL("../../../target/wasm-bindgen/testing/", import.meta.url));
