/** How PostgreSQL's programs are run: as whom, with which environment. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { EmbeddedPostgresError, messageOf } from "./embedded-error.ts";
import type { ServerUser } from "./server-user.ts";

const run = promisify(execFile);

/** Options of a spawn: the user to drop to (with its supplementary groups), and a bare environment. */
export function processOptions(user: ServerUser | undefined) {
  return { ...(user ? { uid: user.uid, gid: user.gid } : {}), env: bareEnvironment(), cwd: rootDirectory() };
}

/** The service's environment holds secrets that a database server has no use for; Windows needs its own variables. */
function bareEnvironment(): NodeJS.ProcessEnv {
  const inherited = process.platform === "win32" ? ["SystemRoot", "SystemDrive", "TEMP", "TMP", "PATH"] : ["PATH"];
  const kept = inherited.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), LC_ALL: "C" };
}

/** A directory that every user can enter: the service's own may be closed to the server's user. */
function rootDirectory(): string {
  return process.platform === "win32" ? (process.env.SystemRoot ?? "C:\\") : "/";
}

/**
 * Runs a program to its end and gives its output.
 *
 * @param timeoutMs it is killed after that many milliseconds.
 * @throws EmbeddedPostgresError with the last line that it wrote to stderr.
 */
export async function runToEnd(
  program: string,
  args: readonly string[],
  user: ServerUser | undefined,
  timeoutMs: number,
): Promise<string> {
  try {
    return (await run(program, args, { ...processOptions(user), timeout: timeoutMs })).stdout;
  } catch (error) {
    const stderr = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    throw new EmbeddedPostgresError(`${program}: ${stderr === "" ? messageOf(error) : firstError(stderr)}`, error);
  }
}

/** The line of PostgreSQL's output that says what is wrong, without its time and process id. */
export function firstError(output: string): string | undefined {
  const found = /\b(?:error|FATAL|PANIC):\s*(.+)/.exec(output)?.[1];
  return found ?? output.trim().split("\n").at(-1)?.trim();
}
