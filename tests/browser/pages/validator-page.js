// A page that validates, over the npm package as it is published.

// The Workers that the package starts, the newest last, for tests that end them.
window.workers = [];
window.Worker = class extends Worker {
  constructor(...given) {
    // A document that is gone may still come to this point, and its Worker would hold the lock of the key for good.
    if (window.over) throw new Error("this document is over");
    super(...given);
    window.workers.push(this);
  }
};

const { validate } = await import("/timecoin/validator.js");

// Begins to validate: the outcome, as a test can compare it.
window.start = (options) =>
  validate(options).then(
    (validator) => {
      window.validator = validator;
      return { operator: validator.operator };
    },
    ({ code, message }) => ({ code, message }),
  );

// The same, again as long as a Worker that was ended holds the lock of the key.
window.insist = async (options) => {
  for (const begun = performance.now(); ; ) {
    const outcome = await window.start(options);
    if (outcome.code !== "key_in_use" || performance.now() - begun > 60_000) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

// A life of a validator in a document of its own, which ends at once so many milliseconds after its start, or after its first
// vote: the Worker is terminated in the middle of whatever it does. What it said last.
window.live = async (options, ms, speaks) => {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const frame = document.createElement("iframe");
  frame.src = location.href;
  document.body.append(frame);
  while (frame.contentWindow.ready !== true) await sleep(5);
  void frame.contentWindow.insist(options);
  const status = () => frame.contentWindow.validator?.status ?? null;
  for (const begun = performance.now(); speaks && !(status()?.votes_signed > 0) && performance.now() - begun < 30_000; ) await sleep(10);
  await sleep(ms);
  frame.contentWindow.over = true;
  for (const worker of frame.contentWindow.workers) worker.terminate();
  const last = status();
  frame.remove();
  return last;
};
window.ready = true;
