// Processes the rig starts: each in a group of its own, so that a browser goes with its driver, and nothing else does.

import { spawn } from "node:child_process";
import { readFile, readdir } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

const OUTPUT_MAX = 20_000;
const START_MS = 60_000;
const END_MS = 5_000;

const groups = new Set();

// A test run that dies takes its processes with it.
process.on("exit", () => groups.forEach((group) => signal(group, "SIGKILL")));
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(name, () => process.exit(1));

/** Starts a program as the leader of a new group; `extra` is added to the environment. */
export function start(program, parameters, extra = {}) {
  const environment = { ...process.env, ...extra };
  const child = spawn(program, parameters, { detached: true, stdio: ["ignore", "pipe", "pipe"], env: environment });
  const running = { program, child, output: "", group: child.pid, failure: null };
  const keep = (text) => (running.output = (running.output + text).slice(-OUTPUT_MAX));
  child.stdout.setEncoding("utf8").on("data", keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  child.on("error", (error) => (running.failure = error));
  if (child.pid !== undefined) groups.add(child.pid);
  return running;
}

/** Asks again until there is an answer; fails with the program's output when it ends, or after a minute. */
export async function ready(running, probe) {
  for (const begun = Date.now(); Date.now() - begun < START_MS; await sleep(20)) {
    if (running.failure !== null) throw new Error(`${running.program} does not start: ${running.failure.message}`);
    const answer = await probe(running);
    if (answer !== null) return answer;
    if (running.child.exitCode !== null) break;
  }
  throw new Error(`${running.program} is not ready. It wrote:\n${running.output}`);
}

/** Ends a program and whatever it started: politely, then not. */
export async function end(running) {
  if (!groups.has(running.group)) return;
  signal(running.group, "SIGTERM");
  const begun = Date.now();
  while (lives(running.group) && Date.now() - begun < END_MS) await sleep(20);
  signal(running.group, "SIGKILL");
  groups.delete(running.group);
}

/** Kills a program and whatever it started, as a crash or a machine that ran out of memory does. */
export async function kill(running) {
  if (!groups.has(running.group)) return;
  signal(running.group, "SIGKILL");
  while (lives(running.group)) await sleep(5);
  groups.delete(running.group);
}

/** Bytes of memory that those of a program's processes hold that were started with this switch. */
export async function memory(running, parameter) {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const sizes = ids.map(async (id) => {
    // Processes end at any time.
    const read = (file) => readFile(`/proc/${id}/${file}`, "utf8").catch(() => "");
    const [stat, command, pages] = await Promise.all([read("stat"), read("cmdline"), read("statm")]);
    // After the name, which may have spaces: state, parent, group.
    const group = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
    return group === running.group && command.includes(parameter) ? Number(pages.split(" ")[1]) * 4096 : 0;
  });
  return (await Promise.all(sizes)).reduce((one, other) => one + other, 0);
}

const listen = async (wanted) => {
  const server = createServer();
  await new Promise((resolve, reject) => server.once("error", reject).listen(wanted, "127.0.0.1", resolve));
  return server;
};
const unlisten = (server) => new Promise((resolve) => server.close(resolve));

/** A port of the loopback interface that was free a moment ago, for programs that cannot choose one themselves. */
export async function freePort() {
  const server = await listen(0);
  const { port } = server.address();
  await unlisten(server);
  return port;
}

/** The first of so many ports in a row that were free a moment ago, far from those that are handed out. */
export async function freePorts(count) {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 8_000);
    const tries = await Promise.allSettled(Array.from({ length: count }, (_, at) => listen(first + at)));
    await Promise.all(tries.map(({ value }) => value !== undefined && unlisten(value)));
    if (tries.every(({ status }) => status === "fulfilled")) return first;
  }
}

function signal(group, name) {
  try {
    process.kill(-group, name);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

function lives(group) {
  try {
    process.kill(-group, 0);
    return true;
  } catch {
    return false;
  }
}
