// The store in a Worker.

import { serve } from "/harness.js";
import init, { TestStore, reportPanics, storeConformance } from "/module/timecoin_web.js";

const ready = init({ module_or_path: "/module/timecoin_web_bg.wasm" }).then(reportPanics);
const stores = new Map();
const opened = [];

// The connections the module opens, for tests that take them away.
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...given) {
  const request = open.apply(this, given);
  request.addEventListener("success", () => opened.push(request.result));
  return request;
};

serve(ready, {
  conformance: (name) => storeConformance(name),
  open: async (name, version) => void stores.set(name, await TestStore.open(name, version)),
  close: (name) => {
    stores.get(name).free();
    stores.delete(name);
  },
  put: (name, keys, value, sync) => stores.get(name).put(keys, value, sync),
  load: (name, key) => stores.get(name).load(key),
  values: (name) => stores.get(name).values(),
  // As a browser does to a page in the background.
  loseConnections: () => opened.splice(0).forEach((database) => database.close()),
  connections: () => opened.length,
  fillDisk: () => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("no space", "QuotaExceededError");
    };
  },
  forbid: () => {
    IDBFactory.prototype.open = () => {
      throw new DOMException("not here", "SecurityError");
    };
  },
  // The options of transactions, as the browser was given them.
  watchDurability: () => {
    globalThis.durabilities = [];
    const begin = IDBDatabase.prototype.transaction;
    IDBDatabase.prototype.transaction = function (names, mode, options) {
      const transaction = begin.call(this, names, mode, options);
      if (mode === "readwrite") globalThis.durabilities.push(transaction.durability);
      return transaction;
    };
  },
  durabilities: () => globalThis.durabilities,
});
