// A reporter for `cargo xtask browsers`: a line for every test that failed, with its file first; and one for each browser in which some
// of a file did, `@` before its name, or `@all` where some failed in no suite of one browser.

import { relative } from "node:path";

const WORDS_MAX = 300;
const BROWSERS = ["chromium", "firefox", "webkit"];

export default async function* failures(events) {
  // By file: how deep those lie that belong to no browser so far. A suite is told of after its tests.
  const pending = new Map();
  for await (const { type, data } of events) {
    if (type !== "test:fail") continue;
    const { cause, failureType, message } = data.details.error;
    const file = relative(process.cwd(), data.file ?? data.name);
    const depths = pending.get(file) ?? [];
    // A suite fails with its tests, and has nothing of its own to say.
    if (failureType === "subtestsFailed") {
      if (BROWSERS.includes(data.name)) {
        pending.set(file, depths.filter((depth) => depth <= data.nesting));
        yield `${file}\t@${data.name}\n`;
      }
      continue;
    }
    pending.set(file, [...depths, data.nesting]);
    const words = String(cause?.message ?? cause ?? message).replaceAll(/\s+/g, " ").slice(0, WORDS_MAX);
    yield `${file}\t${data.name}: ${words}\n`;
  }
  for (const [file, depths] of pending) if (depths.length > 0) yield `${file}\t@all\n`;
}
