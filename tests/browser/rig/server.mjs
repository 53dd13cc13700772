// A loopback web server for the pages of the tests, under the policy the app is served with.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
};
export const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:";

/** Serves folders: `{ "/": folder, "/module/": folder }`; the longest prefix wins. */
export async function serve(folders, policy = POLICY) {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
    const prefix = prefixes.find((candidate) => path.startsWith(candidate));
    try {
      if (prefix === undefined) throw new Error("no folder");
      const below = normalize(`/${path.slice(prefix.length)}`);
      const bytes = await readFile(join(folders[prefix], below));
      const type = TYPES[extname(below)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, "content-security-policy": policy }).end(bytes);
    } catch {
      response.writeHead(404, { "content-type": "text/plain" }).end("not here");
    }
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
