// The package's Worker, with ways to break it. Over a module built for tests: the one that ships has nothing to call.

import "/timecoin/worker.js";
import { panicNow } from "/timecoin/generated/timecoin_web.js";

const opened = [];
const open = IDBFactory.prototype.open;
IDBFactory.prototype.open = function (...given) {
  const request = open.apply(this, given);
  request.addEventListener("success", () => opened.push(request.result));
  return request;
};
const put = IDBObjectStore.prototype.put;

const ways = {
  trap: () => panicNow(),
  hang: () => {
    for (;;);
  },
  // As a browser does to a page in the background.
  lose: () => opened.splice(0).forEach((database) => database.close()),
  full: () => {
    IDBObjectStore.prototype.put = () => {
      throw new DOMException("no space", "QuotaExceededError");
    };
  },
  room: () => {
    IDBObjectStore.prototype.put = put;
  },
};
addEventListener("message", ({ data }) => {
  if (data.t === "break") ways[data.how]();
});
