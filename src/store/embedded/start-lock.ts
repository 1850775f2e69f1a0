/**
 * One process at a time starts or stops the server of a data directory.
 *
 * A file made with its whole content names the holder: process id, and a mark of that very process so that a reused
 * id is not mistaken for it. A dead holder's file is taken away. The lock saves work and keeps order; safety does
 * not hang on it: PostgreSQL's own `postmaster.pid` and the rename that ends an initdb decide in the last instance.
 */
import { randomBytes } from "node:crypto";
import { link, readFile, rename, unlink } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { createDurably, readIfPresent } from "./durable-file.ts";
import { codeOf, EmbeddedPostgresError, messageOf } from "./embedded-error.ts";

/** Time between two looks at a lock that another process holds, milliseconds. */
const LOOK_INTERVAL_MS = 20;

/**
 * Runs `action` while holding the lock file at `path`.
 *
 * @param waitMsMax longest wait for another holder, milliseconds.
 * @param signal ends the wait, not the action.
 * @throws EmbeddedPostgresError when the wait is over or the file cannot be made.
 */
export async function withStartLock<T>(
  path: string,
  waitMsMax: number,
  action: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const content = `${process.pid} ${await processMark(process.pid)} ${randomBytes(8).toString("hex")}\n`;
  const deadline = performance.now() + waitMsMax;
  try {
    while (!(await createDurably(path, content))) {
      if (await removeIfDead(path)) continue;
      if (signal?.aborted) throw new EmbeddedPostgresError(`the wait for ${path} was given up`);
      if (performance.now() > deadline) throw new EmbeddedPostgresError(`another process holds ${path}`);
      await delay(LOOK_INTERVAL_MS);
    }
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(`${path} cannot be made: ${messageOf(error)}`, error);
  }
  try {
    return await action();
  } finally {
    if ((await readIfPresent(path)) === content) await unlink(path);
  }
}

/** Whether the lock is free to be tried again: it is gone, or was left by a process that is no more. */
async function removeIfDead(path: string): Promise<boolean> {
  const text = await readIfPresent(path);
  if (text === undefined) return true;
  if (await isHolderAlive(text)) return false;
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return true;
    throw error;
  }
  // Another process may have replaced the dead holder's file with its own in between: put that back.
  if ((await readIfPresent(aside)) !== text) await link(aside, path).catch(() => {});
  await unlink(aside);
  return true;
}

async function isHolderAlive(text: string): Promise<boolean> {
  const [pid = "", mark = ""] = text.trim().split(" ");
  if (!/^[1-9]\d*$/.test(pid)) return false;
  return isProcessAlive(Number(pid)) && (await processMark(Number(pid))) === mark;
}

/** Whether a process of that id exists, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/**
 * What tells a process from a later one of the same id: on Linux the boot and its start in clock ticks since then
 * (proc_pid_stat(5), field 22); elsewhere "-", so that the id alone counts.
 */
async function processMark(pid: number): Promise<string> {
  if (process.platform !== "linux") return "-";
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    // The name, field 2, may hold blanks and parentheses: count from its end.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return `${boot}/${fields[19]}`;
  } catch {
    return "-";
  }
}
