// Passes calls to the Worker that the page's address names, one Worker at a time.

const script = new URL(location.href).searchParams.get("worker");

const pending = new Map();
let worker;
let last = 0;

function settle(id, failure, value) {
  const call = pending.get(id);
  pending.delete(id);
  if (failure === undefined) call?.resolve(value);
  else call?.reject(Object.assign(new Error(failure.message), { name: failure.name }));
}

window.startWorker = () => {
  worker = new Worker(script, { type: "module" });
  worker.onmessage = ({ data }) => {
    if (data.trap === undefined) return settle(data.id, data.failure, data.value);
    for (const id of [...pending.keys()]) settle(id, { name: "Trap", message: data.trap });
  };
  worker.onerror = (event) => [...pending.keys()].forEach((id) => settle(id, { name: "Trap", message: event.message }));
};

window.killWorker = () => {
  worker.terminate();
  for (const id of [...pending.keys()]) settle(id, { name: "Killed", message: "the Worker was terminated" });
};

window.call = (name, ...given) =>
  new Promise((resolve, reject) => {
    last += 1;
    pending.set(last, { resolve, reject });
    worker.postMessage({ id: last, name, given });
  });

// What a test compares: the value, or the name of the error.
window.outcome = (promise) => promise.then((value) => ({ value: value ?? null }), (error) => ({ name: error.name, message: error.message }));

window.startWorker();
