// Firefox and WebKitGTK, each by what its remote control understands: Marionette, and WebDriver through Selenium.

import { writeFile } from "node:fs/promises";

import { startFirefox } from "./marionette.mjs";
import { Builder } from "./packages.mjs";
import { end, freePort, ready, start } from "./processes.mjs";

const WEBKIT = "/usr/lib/x86_64-linux-gnu/webkit2gtk-4.1/MiniBrowser";
const SCRIPT_MS = 600_000;

/** Starts Firefox; with `profile`, on a folder that outlives it. With `hides`, one tab hides the others, as with people. */
export async function launchFirefox({ profile, hides } = {}) {
  return session("firefox", await startFirefox(profile), hides);
}

/** Starts WebKitGTK's MiniBrowser on a display of its own. Its profile always ends with it. */
export async function launchWebkit({ hides } = {}) {
  const display = start("Xvfb", ["-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]);
  const number = await ready(display, ({ output }) => output.match(/^(\d+)\n/m)?.[1] ?? null);
  const port = await freePort();
  const server = start("dbus-run-session", ["--", "WebKitWebDriver", `--port=${port}`], {
    DISPLAY: `:${number}`,
    // Without WEBKIT_DISABLE_COMPOSITING_MODE: that one makes screenshots wait for ever.
    LIBGL_ALWAYS_SOFTWARE: "1",
    WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: "1",
  });
  const status = () => fetch(`http://127.0.0.1:${port}/status`).then((answer) => answer.ok || null, () => null);
  await ready(server, status);
  const options = { binary: WEBKIT, args: ["--automation"] };
  const wanted = { browserName: "MiniBrowser", "webkitgtk:browserOptions": options };
  const finish = async () => {
    for (const running of [server, display]) await end(running);
  };
  const builder = new Builder().disableEnvironmentOverrides().usingServer(`http://127.0.0.1:${port}`);
  const driver = await builder.withCapabilities(wanted).build().catch(async (error) => {
    await finish();
    throw error;
  });
  return session("webkit", {
    setScriptTimeout: (script) => driver.manage().setTimeouts({ script }),
    getWindowHandle: () => driver.getWindowHandle(),
    getAllWindowHandles: () => driver.getAllWindowHandles(),
    switchToWindow: (handle) => driver.switchTo().window(handle),
    switchToNew: (type) => driver.switchTo().newWindow(type),
    get: (url) => driver.get(url),
    executeAsyncScript: (script) =>
      driver.executeAsyncScript(script).catch((error) => {
        if (error.name === "NoSuchSessionError") error.message = `WebKit is gone; it wrote: ${server.output.slice(-200)}`;
        throw error;
      }),
    takeScreenshot: () => driver.takeScreenshot(),
    close: () => driver.close(),
    async quit() {
      await driver.quit().catch(() => {});
      await finish();
    },
  }, hides);
}

async function session(name, driver, hides = false) {
  // WebDriver has one current window for all callers, so calls take turns.
  let turn = Promise.resolve();
  const inTurn = (work) => {
    const done = turn.then(work);
    turn = done.catch(() => {});
    return done;
  };
  // A browser starts with one empty window: the first page takes it, and the last leaves it, for the session ends
  // with its last window.
  const begin = async () => {
    await driver.setScriptTimeout(SCRIPT_MS);
    return [await driver.getWindowHandle()];
  };
  const idle = await begin().catch(async (error) => {
    await driver.quit();
    throw error;
  });
  const leave = async (handle) => {
    if ((await driver.getAllWindowHandles()).length > 1) return driver.close();
    await driver.get("about:blank");
    idle.push(handle);
  };
  return {
    name,
    open: (url) =>
      inTurn(async () => {
        let handle = idle.pop();
        await driver.switchToWindow(handle ?? (await driver.getAllWindowHandles())[0]);
        if (handle === undefined) {
          // Tabs hide each other.
          await driver.switchToNew(hides ? "tab" : "window");
          handle = await driver.getWindowHandle();
        }
        await driver.get(url);
        return page(driver, handle, inTurn, leave);
      }),
    /** Ends all its processes without a word; Firefox alone. */
    kill: driver.kill,
    close: () => driver.quit(),
  };
}

function page(driver, handle, inTurn, leave) {
  const here = (work) =>
    inTurn(async () => {
      await driver.switchToWindow(handle);
      return work();
    });
  return {
    evaluate: (run, ...given) =>
      here(async () => {
        const script = `
          const answer = arguments[arguments.length - 1];
          (async () => (${run})(...${JSON.stringify(given)}))().then(
            (value) => answer({ value }),
            (error) => answer({ failure: String(error?.stack ? error + "\\n" + error.stack : error) }),
          );`;
        const { value, failure } = await driver.executeAsyncScript(script);
        if (failure !== undefined) throw new Error(failure);
        return value ?? undefined;
      }),
    goto: (url) => here(() => driver.get(url)),
    /** Shows it, as every other call does that is made to it. */
    front: () => here(() => {}),
    screenshot: (path) => here(async () => writeFile(path, await driver.takeScreenshot(), "base64")),
    close: () => here(() => leave(handle)),
    log: () => [],
  };
}
