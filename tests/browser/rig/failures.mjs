// A reporter for `cargo xtask browsers`: a line for every test that failed, with its file first.

import { relative } from "node:path";

const WORDS_MAX = 300;

export default async function* failures(events) {
  for await (const { type, data } of events) {
    // A suite fails with its tests, and has nothing of its own to say.
    if (type !== "test:fail" || data.details.error?.failureType === "subtestsFailed") continue;
    const { cause, message } = data.details.error;
    const words = String(cause?.message ?? cause ?? message).replaceAll(/\s+/g, " ").slice(0, WORDS_MAX);
    yield `${relative(process.cwd(), data.file)}\t${data.name}: ${words}\n`;
  }
}
