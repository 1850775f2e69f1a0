/** The service as a process of its own, so that tests can kill, freeze and stop it. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Api, createApi } from "../support/api.ts";
import { COMPILE_CACHE } from "../support/compile-cache.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const SHIFTED_CLOCK = new URL("./shifted-clock.ts", import.meta.url).href;
/** The API key of the first organization of every service here. */
export const API_KEY = `alm_test_${randomBytes(16).toString("hex")}`;
/** Characters of a process's output that are kept. */
const OUTPUT_MAX = 64 * 1024;

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<ChildProcess>();

/** Kills every process that is still there. For afterAll. */
export async function killLeftovers(): Promise<void> {
  await Promise.all([...running].map(async (child) => await kill(child)));
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

type Env = Readonly<Record<string, string>>;

interface Command {
  readonly child: ChildProcess;
  readonly exited: Promise<Exit>;
  /** The end of what it has written to standard output so far, and to standard error. */
  readonly stdout: () => string;
  readonly stderr: () => string;
}

/**
 * Starts a command of the service with nothing in its environment but `env`. `settableClock`: its wall clock can be
 * set (`shifted-clock.ts`).
 */
function spawnCommand(args: readonly string[], env: Env, settableClock = false): Command {
  const before = settableClock ? ["--import", SHIFTED_CLOCK] : [];
  const child = spawn(process.execPath, [...before, MAIN, ...args], {
    env: { PATH: process.env.PATH, ...COMPILE_CACHE, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(settableClock ? ["ipc" as const] : [])],
  });
  running.add(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve({ code, signal, stdout: stdout(), stderr: stderr() });
    });
  });
  return { child, exited, stdout, stderr };
}

function collect(stream: NodeJS.ReadableStream | null): () => string {
  let seen = "";
  stream?.setEncoding("utf8").on("data", (text: string) => {
    seen = (seen + text).slice(-OUTPUT_MAX);
  });
  return () => seen;
}

/** Runs a command to its end. */
export async function runCommand(args: readonly string[], env: Env): Promise<Exit> {
  return await spawnCommand(args, env).exited;
}

export interface ServiceProcess {
  readonly url: string;
  readonly api: Api;
  readonly exited: Promise<Exit>;
  /** Whether it has not ended. */
  readonly alive: boolean;
  /** The end of its log. */
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** Sets its wall clock to the real time and `offsetMs`; resolves when that is done. Needs `settableClock`. */
  setClock(offsetMs: number): Promise<void>;
}

/** Starts `serve` on a free port, with deliveries to this machine allowed; resolves when it says that it is ready. */
export async function startServiceProcess(env: Env, settableClock = false): Promise<ServiceProcess> {
  const defaults = { PORT: "0", BOOTSTRAP_API_KEY: API_KEY, LOG_LEVEL: "error", SHUTDOWN_GRACE_MS: "5000" };
  const { child, exited, stdout, stderr } = spawnCommand(["serve", "--dev"], { ...defaults, ...env }, settableClock);
  const ready = new Promise<string>((resolve) => {
    child.stdout?.on("data", () => {
      const url = /ready at (\S+)/.exec(stdout())?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const failed = exited.then(({ code, signal }) => {
    throw new Error(`the service ended with ${code ?? signal}: ${stderr()}`);
  });
  const url = await Promise.race([ready, failed]);
  failed.catch(() => {});
  return {
    url,
    api: createApi(url, API_KEY),
    exited,
    get alive() {
      return child.exitCode === null && child.signalCode === null;
    },
    log: stderr,
    signal: (signal) => void child.kill(signal),
    setClock: async (offsetMs) => {
      const set = once(child, "message");
      child.send(offsetMs);
      await set;
    },
  };
}
