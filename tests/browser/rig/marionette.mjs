// Firefox's own remote control, Marionette: what geckodriver translates WebDriver to. Spoken directly, no driver has to be
// built first.
//
// A message is its size in bytes, a colon, and JSON: `[0, id, command, parameters]` and `[1, id, error, result]`.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { end, kill, ready, start } from "./processes.mjs";

const PROGRAM = "/usr/bin/firefox-esr";
const PREFERENCES = {
  // Any free port; the browser writes which into its profile.
  "marionette.port": 0,
  // What a browser that nobody looks at should not do; it knows best.
  "remote.prefs.recommended": true,
  "app.update.disabledForTesting": true,
  "datareporting.policy.dataSubmissionEnabled": false,
};

/** Starts Firefox; with `profile`, on a folder that outlives it. Returns its driver. */
export async function startFirefox(profile) {
  const folder = profile ?? (await mkdtemp(join(tmpdir(), "timecoin-firefox-")));
  const lines = Object.entries(PREFERENCES).map(([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`);
  await writeFile(join(folder, "user.js"), lines.join(""));
  // Of the browser that had the profile before.
  const told = join(folder, "MarionetteActivePort");
  await rm(told, { force: true });
  const browser = start(PROGRAM, ["-marionette", "-headless", "-no-remote", "-profile", folder]);
  const finish = async () => {
    await end(browser);
    if (profile === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    const port = await ready(browser, () => readFile(told, "utf8").then((text) => Number(text) || null, () => null));
    const driver = await drive(await open(port), finish);
    return { ...driver, kill: () => kill(browser) };
  } catch (error) {
    await finish();
    throw error;
  }
}

/** The commands the rig uses, under the names that Selenium gives them. */
async function drive(send, finish) {
  await send("WebDriver:NewSession", {});
  return {
    setScriptTimeout: (script) => send("WebDriver:SetTimeouts", { script }),
    getWindowHandle: async () => (await send("WebDriver:GetWindowHandle")).value,
    getAllWindowHandles: () => send("WebDriver:GetWindowHandles"),
    switchToWindow: (handle) => send("WebDriver:SwitchToWindow", { handle, focus: true }),
    async switchToNew(type) {
      const { handle } = await send("WebDriver:NewWindow", { type, focus: true });
      await send("WebDriver:SwitchToWindow", { handle, focus: true });
    },
    get: (url) => send("WebDriver:Navigate", { url }),
    executeAsyncScript: async (script) => (await send("WebDriver:ExecuteAsyncScript", { script, args: [] })).value,
    takeScreenshot: async () => (await send("WebDriver:TakeScreenshot", { id: null, full: false, hash: false })).value,
    close: () => send("WebDriver:CloseWindow"),
    async quit() {
      // The connection may end before the answer.
      await send("Marionette:Quit", { flags: ["eAttemptQuit"] }).catch(() => {});
      await finish();
    },
  };
}

/** Connects; returns what sends a command and awaits its result. */
async function open(port) {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  const waiting = new Map();
  let gone = null;
  let next = 0;
  let received = Buffer.alloc(0);
  const answers = (message) => {
    if (!Array.isArray(message)) return waiting.get("hello")?.resolve(message);
    const [, id, error, result] = message;
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === null) resolve?.(result);
    else reject?.(new Error(`${error.error}: ${error.message}`));
  };
  socket.on("data", (bytes) => {
    received = Buffer.concat([received, bytes]);
    for (;;) {
      const colon = received.indexOf(":");
      const size = Number(received.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || received.length < colon + 1 + size) return;
      const text = received.subarray(colon + 1, colon + 1 + size).toString("utf8");
      received = received.subarray(colon + 1 + size);
      answers(JSON.parse(text));
    }
  });
  socket.on("error", (error) => (gone = error));
  socket.on("close", () => {
    gone ??= new Error("Firefox ended");
    for (const { reject } of waiting.values()) reject(gone);
    waiting.clear();
  });
  await new Promise((resolve, reject) => waiting.set("hello", { resolve, reject }));
  waiting.delete("hello");
  return (command, parameters = {}) =>
    new Promise((resolve, reject) => {
      if (gone !== null) return reject(gone);
      next += 1;
      waiting.set(next, { resolve, reject });
      const message = Buffer.from(JSON.stringify([0, next, command, parameters]));
      socket.write(Buffer.concat([Buffer.from(`${message.length}:`), message]));
    });
}
