// A way to a peer that a test can cut, as a tunnel or a tram does: nothing is closed, nothing is refused, nothing arrives. And
// one that is long: a page asks those first that answer fastest.

import { connect, createServer } from "node:net";

/** The same peer at another port of the loopback interface, from so many milliseconds further away, each way. */
export async function wireTo(url, delay = 0) {
  const { hostname, port, pathname } = new URL(url);
  const sockets = new Set();
  let isCut = false;
  const late = (work) => (delay > 0 ? setTimeout(work, delay) : work());
  const pass = (from, to) => {
    // What was on its way when the wire was cut arrives when it is mended, as TCP sends it again.
    from.on("data", (bytes) => late(() => to.writable && to.write(bytes)));
    from.on("close", () => late(() => to.destroy()));
    from.on("error", () => {});
    sockets.add(from);
    from.on("close", () => sockets.delete(from));
    if (isCut) from.pause();
  };
  const server = createServer({ noDelay: true }, (incoming) => {
    const onward = connect({ host: hostname, port: Number(port), noDelay: true });
    pass(incoming, onward);
    pass(onward, incoming);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
  return {
    url: `ws://127.0.0.1:${server.address().port}${pathname}`,
    cut() {
      isCut = true;
      sockets.forEach((socket) => socket.pause());
    },
    mend() {
      isCut = false;
      sockets.forEach((socket) => socket.resume());
    },
    close() {
      sockets.forEach((socket) => socket.destroy());
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
