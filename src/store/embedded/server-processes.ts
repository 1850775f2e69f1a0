/** Which processes of the operating system have a cluster open. */
import { readdir, readFile, stat } from "node:fs/promises";
import { codeOf } from "./embedded-error.ts";
import { runToEnd } from "./server-process.ts";

/** Longest run of a program that looks at another process, milliseconds. */
const LOOK_MS_MAX = 10_000;

/**
 * Whether that process is a living PostgreSQL in that data directory. Where the system does not show a process's
 * directory, a PostgreSQL of the directory's owner is taken for one: refusing to start beats two servers on one.
 */
export async function hasClusterOpen(pid: number, cluster: string): Promise<boolean> {
  if (process.platform !== "linux") return /postgres(\.exe)?\b/i.test(await processName(pid));
  try {
    const { uid } = await stat(`/proc/${pid}`);
    if ((await readFile(`/proc/${pid}/comm`, "utf8")).trim() !== "postgres") return false;
    const ours = await stat(cluster);
    if (uid !== ours.uid) return false;
    // A server's working directory is its data directory, under whatever name that goes now; a zombie has none.
    const theirs = await stat(`/proc/${pid}/cwd`);
    return theirs.dev === ours.dev && theirs.ino === ours.ino;
  } catch (error) {
    return codeOf(error) === "EACCES" || codeOf(error) === "EPERM";
  }
}

/** Whether any process still has the cluster open, such as the children of a server that was just killed. */
export async function isClusterOpen(cluster: string): Promise<boolean> {
  // Elsewhere than on Linux there is no cheap look at all processes; killed servers' children end within moments.
  if (process.platform !== "linux") return false;
  for (const name of await readdir("/proc")) {
    if (/^\d+$/.test(name) && (await hasClusterOpen(Number(name), cluster))) return true;
  }
  return false;
}

async function processName(pid: number): Promise<string> {
  try {
    if (process.platform === "win32") {
      return await runToEnd("tasklist", ["/FI", `PID eq ${pid}`, "/FO", "CSV", "/NH"], undefined, LOOK_MS_MAX);
    }
    return await runToEnd("ps", ["-o", "comm=", "-p", String(pid)], undefined, LOOK_MS_MAX);
  } catch {
    return "";
  }
}
