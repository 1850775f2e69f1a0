/** What the tests of the private server share: directories, users of the server in other processes, queries. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { type EmbeddedOptions, startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";
import type { Connection } from "../../src/store/embedded/keeper.ts";
import { isProcessAlive } from "../../src/store/embedded/start-lock.ts";

export const isRoot = process.getuid?.() === 0;
export const isLinuxRoot = isRoot && process.platform === "linux";

/** The log entries of one server object, and a way to wait for the next that says something. */
export class RecordedLog {
  readonly entries: string[] = [];
  readonly #waiting: { pattern: RegExp; resolve: () => void }[] = [];

  readonly write = (level: string, message: string, fields?: object): void => {
    const line = `${level} ${message} ${JSON.stringify(fields ?? {})}`;
    this.entries.push(line);
    for (const waiter of this.#waiting.filter(({ pattern }) => pattern.test(line))) waiter.resolve();
  };

  /** Resolves at the next entry that matches. Ask before causing it. */
  next(pattern: RegExp): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ pattern, resolve }));
  }
}

const cleanups: (() => Promise<unknown>)[] = [];

/** Undoes, last first, what the tests so far have made. */
export async function cleanUp(): Promise<void> {
  for (const undo of cleanups.splice(0).reverse()) await undo();
}

/** Something to undo when the test is over. */
export function atCleanUp(undo: () => Promise<unknown>): void {
  cleanups.push(undo);
}

/** An empty directory that every user can pass through. */
export async function makeTestDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "alumia-embedded-"));
  await chmod(path, 0o711);
  atCleanUp(() => rm(path, { recursive: true, force: true }));
  return path;
}

/**
 * A data directory that has been started and stopped before: a copy of one that is made once, because initdb takes
 * longer than everything else. `postgres/cluster` holds the database, `postgres-password` its password.
 */
export async function makeStartedDirectory(): Promise<string> {
  seed ??= makeSeed();
  const path = await makeTestDirectory();
  await copyDirectory(await seed, path);
  return path;
}

let seed: Promise<string> | undefined;

async function makeSeed(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "alumia-embedded-"));
  await chmod(path, 0o711);
  const server = await startEmbeddedPostgres({ dataDir: path, log: () => {} });
  await server.stop();
  await rm(join(path, "postgres.log"));
  return path;
}

/** Removes what `makeStartedDirectory` copies from. */
export async function removeSeed(): Promise<void> {
  if (seed) await rm(await seed, { recursive: true, force: true });
  seed = undefined;
}

/** Copies what is in a directory, with owners and modes. */
export async function copyDirectory(from: string, to: string): Promise<void> {
  const child = spawn("cp", ["-a", "--", `${from}/.`, to], { stdio: "ignore" });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`cp ended with ${code}`);
}

/** Starts the server in this process, to be stopped when the test is over. */
export async function start(dataDir: string, options: Partial<EmbeddedOptions> = {}) {
  const log = new RecordedLog();
  const server = await startEmbeddedPostgres({ dataDir, log: log.write, startTimeoutMs: 20_000, ...options });
  atCleanUp(() => server.stop({ force: true }));
  return Object.assign(server, { log });
}

export interface OtherProcess {
  readonly child: ChildProcess;
  readonly connection: Connection;
  readonly pid: number;
}

/** Runs a program that only uses the server until its stdin ends. */
export function spawnUser(options: object, identity: { uid?: number; gid?: number } = {}): ChildProcess {
  const script = fileURLToPath(new URL("./embedded-user.ts", import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    ...identity,
    cwd: "/",
    env: { PATH: process.env.PATH, MASTER_KEY: "not-for-the-server" },
    stdio: ["pipe", "pipe", "pipe"],
  });
  atCleanUp(async () => child.kill("SIGKILL"));
  return child;
}

/** Resolves when that process uses the server; rejects with its stderr if it ends first. */
export async function whenUsing(child: ChildProcess): Promise<OtherProcess> {
  if (!child.stdout || !child.stderr) throw new Error("no pipes");
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += String(chunk);
  });
  for await (const line of createInterface(child.stdout)) return { child, ...JSON.parse(line) };
  throw new Error(`ended: ${stderr}`);
}

/** Ends a process that uses the server, by the polite way. */
export async function endUser({ child }: OtherProcess): Promise<void> {
  const exited = once(child, "exit");
  child.stdin?.end();
  await exited;
}

/** Kills a process as a crash would, and waits until it is gone. */
export async function crash(child: ChildProcess): Promise<void> {
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/** Whether a process still runs: one that ended but was not yet reaped by whoever inherited it does not. */
export async function isRunning(pid: number): Promise<boolean> {
  if (!isProcessAlive(pid)) return false;
  if (process.platform !== "linux") return true;
  return !["Z", "X", undefined].includes(await statField(pid, 3).catch(() => undefined));
}

/** Runs one statement on a connection of its own; the first column of each row. */
export async function query(connection: Connection, statement: string): Promise<unknown[]> {
  const client = new Client({ ...connection, application_name: "alumia-test" });
  client.on("error", () => {});
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text: statement, rowMode: "array" });
    return rows.map((row) => row[0]);
  } finally {
    await client.end();
  }
}

/** A field of proc_pid_stat(5), counted from 1; only those after the process's name. */
export async function statField(pid: number, field: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[field - 3];
}
