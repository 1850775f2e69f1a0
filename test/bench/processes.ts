/** What a process costs, read from Linux's /proc; NaN where there is none. */
import { readdir, readFile } from "node:fs/promises";

/** Ticks of utime and stime in a second (USER_HZ, which is 100 on every architecture that Node runs on). */
const TICKS_PER_SECOND = 100;

interface Stat {
  readonly parent: number;
  /** Its own time and that of the children it has waited for, ticks. */
  readonly ticks: number;
}

/** Processor seconds of a process, its children, and the children that have ended. */
export async function processTreeSeconds(pid: number): Promise<number> {
  const root = await readStat(pid);
  if (!root) return Number.NaN;
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const stats = await Promise.all(pids.map(readStat));
  const children = stats.filter((stat) => stat?.parent === pid);
  return [root, ...children].reduce((sum, stat) => sum + (stat?.ticks ?? 0), 0) / TICKS_PER_SECOND;
}

/** Resident memory, MiB. */
export async function memoryMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1_024;
}

async function readStat(pid: number): Promise<Stat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  // The second field is the command in parentheses, which may hold blanks.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index]), 0);
  return { parent: Number(fields[1]), ticks };
}
