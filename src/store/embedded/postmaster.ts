/** The running server: what `postmaster.pid` says about it, whether that is true, starting it, stopping it. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:fs";
import { open, rename, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Binaries } from "./binaries.ts";
import { readIfPresent } from "./durable-file.ts";
import { codeOf, EmbeddedPostgresError } from "./embedded-error.ts";
import { type Endpoint, listenSettings } from "./endpoint.ts";
import type { Placement } from "./placement.ts";
import { firstError, processOptions, runToEnd } from "./server-process.ts";
import { hasClusterOpen, isClusterOpen } from "./server-processes.ts";
import { settingArguments } from "./settings.ts";
import { isProcessAlive } from "./start-lock.ts";

/** `postmaster.pid`, line by line (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*). */
export interface PostmasterFile {
  readonly pid: number;
  /** The data directory as the server was told it. */
  readonly dataDirectory: string;
  /** Empty while the server has not got so far, or listens on none. */
  readonly socketDirectory: string;
  /** 0 while the server has not got so far. */
  readonly port: number;
  readonly status: "starting" | "ready" | "stopping";
  /** The file's whole text: tells one start from the next. */
  readonly text: string;
}

/** Longest run of `pg_ctl`, milliseconds. */
const PG_CTL_MS_MAX = 10_000;
/** A log longer than that is set aside at the next start, bytes. */
const LOG_BYTES_MAX = 10 * 1024 * 1024;
/** The part of the log that is read for the reason of a failed start, bytes. */
const LOG_TAIL_BYTES_MAX = 64 * 1024;

/** Reads the text of `postmaster.pid`; undefined where it is not (yet) one. */
export function parsePostmasterFile(text: string): PostmasterFile | undefined {
  const [pid = "", dataDirectory = "", , port = "", socketDirectory = "", , , status = ""] = text.split("\n");
  if (!/^[1-9]\d*$/.test(pid.trim()) || dataDirectory === "") return undefined;
  return {
    pid: Number(pid),
    dataDirectory,
    socketDirectory: socketDirectory.trim(),
    port: Number(port) || 0,
    status: status.startsWith("ready") ? "ready" : status.startsWith("stopping") ? "stopping" : "starting",
    text,
  };
}

/** The server that `postmaster.pid` names, if it is really there and has this very directory open. */
export async function findPostmaster(cluster: string): Promise<PostmasterFile | undefined> {
  const path = join(cluster, "postmaster.pid");
  const text = await readIfPresent(path);
  const file = text === undefined ? undefined : parsePostmasterFile(text);
  if (!file || !isProcessAlive(file.pid)) return undefined;
  if (await hasClusterOpen(file.pid, cluster)) return file;
  // The id is a zombie's or another process's, which PostgreSQL would take for a server and refuse to start. The
  // file is its guard against a dead server's children too, so it goes only after they are gone.
  if (!(await isClusterOpen(cluster)) && (await readIfPresent(path)) === text) await unlink(path);
  return undefined;
}

/** A start under way. */
export interface Launch {
  /** Why it failed, or undefined while it has not. */
  failure(): Promise<string | undefined>;
}

/**
 * Starts the server in a session of its own, so that neither Ctrl-C nor our death reaches it. Its output goes to
 * `postgres.log` in the data directory. Call it under the start lock, when no server runs.
 */
export async function launchPostmaster(
  placement: Placement,
  binaries: Binaries,
  endpoint: Endpoint,
  settings: Readonly<Record<string, string>>,
): Promise<Launch> {
  // The socket's directory serves this server only: a lock file in it is a dead server's, whoever has its id now.
  if (endpoint.host.startsWith("/")) await removeIfPresent(join(endpoint.host, `.s.PGSQL.${endpoint.port}.lock`));
  const logPath = join(placement.dataDir, "postgres.log");
  const log = await openLog(logPath);
  try {
    const offset = (await log.stat()).size;
    const args = ["-D", placement.cluster, ...settingArguments(settings, listenSettings(endpoint))];
    const child =
      process.platform === "win32"
        ? spawnOnWindows(binaries, placement.cluster, logPath, args.slice(2))
        : spawn(binaries.postgres, args, {
            ...processOptions(placement.user),
            detached: true,
            stdio: ["ignore", log.fd, log.fd],
          });
    return watch(child, async () => await readLog(logPath, offset));
  } finally {
    await log.close();
  }
}

/** `pg_ctl` gives up administrators' rights, without which PostgreSQL does not start there; it ends at once. */
function spawnOnWindows(binaries: Binaries, cluster: string, logPath: string, settings: readonly string[]) {
  const options = settings.map((argument) => `"${argument.replaceAll('"', '\\"')}"`).join(" ");
  const args = ["start", "-W", "-D", cluster, "-l", logPath, "-o", options];
  return spawn(binaries.pgCtl, args, { ...processOptions(undefined), detached: true, stdio: "ignore" });
}

function watch(child: ChildProcess, readOutput: () => Promise<string>): Launch {
  let ended: string | undefined;
  child.once("error", (error) => {
    ended = error.message;
  });
  child.once("exit", (code, signal) => {
    // On Windows this is `pg_ctl`, which is expected to end.
    if (process.platform !== "win32" || code !== 0) ended ??= signal ? `ended by ${signal}` : `exit code ${code}`;
  });
  child.unref();
  return {
    failure: async () => (ended === undefined ? undefined : (firstError(await readOutput()) ?? ended)),
  };
}

async function openLog(path: string) {
  const size = await stat(path).then(
    (status) => status.size,
    () => 0,
  );
  if (size > LOG_BYTES_MAX) await rename(path, `${path}.1`);
  return await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}

async function readLog(path: string, offset: number): Promise<string> {
  const handle = await open(path, "r");
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(LOG_TAIL_BYTES_MAX), 0, LOG_TAIL_BYTES_MAX, offset);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function removeIfPresent(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

/** Asks for a fast shutdown: clients are cut off, everything is written (PostgreSQL 18, section 18.5). */
export async function signalShutdown(placement: Placement, binaries: Binaries, pid: number): Promise<void> {
  if (process.platform === "win32") {
    await runToEnd(binaries.pgCtl, ["stop", "-W", "-m", "fast", "-D", placement.cluster], undefined, PG_CTL_MS_MAX);
    return;
  }
  try {
    process.kill(pid, "SIGINT");
  } catch (error) {
    if (codeOf(error) === "ESRCH") return;
    throw new EmbeddedPostgresError(`PostgreSQL (pid ${pid}) cannot be stopped by this user`, error);
  }
}
