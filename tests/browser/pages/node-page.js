// A page over the npm package as it is published. Calls of the test are short: what takes long is kept on `window`.

// The Workers that the package starts, the newest last, for tests that end or break them.
window.workers = [];
window.Worker = class extends Worker {
  constructor(...given) {
    super(...given);
    window.workers.push(this);
  }
};
window.breakWorker = (how) => window.workers.at(-1).postMessage({ t: "break", how });

const timecoin = await import("/timecoin/index.js");
window.timecoin = timecoin;
window.violations = [];
document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) => window.violations.push(`${violatedDirective} ${blockedURI}`));

// What was seen of each stream, the newest last.
window.seen = {};

window.follow = (name, news) => {
  window.seen[name] = [];
  const read = async () => {
    for await (const item of news) window.seen[name].push({ ...item, seen_at: performance.now() });
    window.seen[name].push("end");
  };
  read().catch((error) => window.seen[name].push({ failure: error.code ?? String(error) }));
};

window.start = async (options) => {
  const begun = performance.now();
  window.node = await timecoin.connect(options);
  window.follow("state", window.node.state());
  window.follow("heads", window.node.heads());
  return performance.now() - begun;
};

window.newest = (name) => window.seen[name]?.at(-1);

// What became of a promise, as a test can compare it.
window.outcome = (promise) => promise.then((value) => ({ value: value ?? null }), ({ code, message, advice, retry, reason }) => ({ code, message, advice, retry, reason }));

// Begins something whose outcome is looked at later.
window.begin = (name, promise) => {
  window.begun ??= {};
  window.begun[name] = null;
  window.outcome(promise).then((outcome) => (window.begun[name] = outcome));
};
window.ready = true;
