// The Worker's side of `worker-page.js`: calls by name, run beside each other; a trap is told with the panic's words.

let spoken = "";
const report = console.error;
console.error = (...words) => {
  spoken = words.join(" ");
  report(...words);
};
addEventListener("error", (event) => postMessage({ trap: spoken || event.message }));
addEventListener("unhandledrejection", (event) => postMessage({ trap: spoken || String(event.reason) }));

/** Answers calls from now on, each once the module is `ready`. */
export function serve(ready, calls) {
  addEventListener("message", async ({ data: { id, name, given } }) => {
    try {
      await ready;
      postMessage({ id, value: await calls[name](...given) });
    } catch (error) {
      postMessage({ id, failure: { name: error.name, message: error.message } });
    }
  });
}
