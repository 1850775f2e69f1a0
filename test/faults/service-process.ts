/** The service as a process of its own, so that tests can kill it; and a load of signed events that it is under. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, request } from "node:http";
import { fileURLToPath } from "node:url";
import { type Api, createApi } from "../support/api.ts";
import type { Behaviour } from "../support/destination.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** The API key of the first organization of every service here. */
export const API_KEY = `alm_test_${randomBytes(16).toString("hex")}`;

/** Answers after a moment, so that a fault finds requests under way; every fifth first try fails and is tried again. */
export const answersUnderLoad: Behaviour = ({ headers }, response, count) => {
  const status = headers["alumia-attempt"] === "1" && count % 5 === 0 ? 500 : 200;
  setTimeout(() => response.writeHead(status).end("answer"), 15);
};
/** Retries that end within the time of a test. */
export const SCHEDULE = "0s,50ms,200ms,500ms,1s,1s,1s,1s";

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

/** Starts a command of the service with nothing in its environment but `env`. */
export function spawnCommand(args: readonly string[], env: Env) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = new Promise<Exit>((resolve) => {
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });
  return { child, exited };
}

/** Runs a command to its end. */
export async function runCommand(args: readonly string[], env: Env): Promise<Exit> {
  return await spawnCommand(args, env).exited;
}

export interface ServiceProcess {
  readonly url: string;
  readonly api: Api;
  readonly exited: Promise<Exit>;
  signal(signal: NodeJS.Signals): void;
}

/** Starts `serve` on a free port, with deliveries to this machine allowed; resolves when it says that it is ready. */
export async function startServiceProcess(env: Env): Promise<ServiceProcess> {
  const defaults = { PORT: "0", BOOTSTRAP_API_KEY: API_KEY, LOG_LEVEL: "error", SHUTDOWN_GRACE_MS: "5000" };
  const { child, exited } = spawnCommand(["serve", "--dev"], { ...defaults, ...env });
  const ready = new Promise<string>((resolve) => {
    let seen = "";
    child.stdout.on("data", (text: string) => {
      seen += text;
      const url = /ready at (\S+)/.exec(seen)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const failed = exited.then(({ code, stderr }) => {
    throw new Error(`the service ended with ${code}: ${stderr}`);
  });
  const url = await Promise.race([ready, failed]);
  failed.catch(() => {});
  return { url, api: createApi(url, API_KEY), exited, signal: (signal) => void child.kill(signal) };
}

export interface Load {
  /** Body of every event that was answered 200, by the event's id. */
  readonly acknowledged: ReadonlyMap<string, Buffer>;
  /** Resolves when that many events are acknowledged. */
  reached(count: number): Promise<void>;
  /** Where events are sent from now on. */
  aim(receiveUrl: string): void;
  /** Ends the load once every request under way has its answer or has failed. */
  stop(): Promise<void>;
}

/** `senders` clients that each send one event after the other, whatever the answers are. */
export function startLoad(receiveUrl: string, secret: string, senders: number): Load {
  const acknowledged = new Map<string, Buffer>();
  const waiting: { count: number; resolve: () => void }[] = [];
  const agent = new Agent({ keepAlive: true, maxSockets: senders });
  let target = receiveUrl;
  let isOver = false;

  async function sendOne(): Promise<void> {
    // Not text, and not of one length.
    const body = randomBytes(20 + Math.floor(Math.random() * 400));
    const eventId = await post(target, body, secret, agent);
    if (eventId === undefined) return await breathe();
    acknowledged.set(eventId, body);
    for (const waiter of waiting) if (acknowledged.size >= waiter.count) waiter.resolve();
  }

  const clients = Array.from({ length: senders }, async () => {
    while (!isOver) await sendOne();
  });
  return {
    acknowledged,
    reached: (count) =>
      new Promise((resolve) => {
        if (acknowledged.size >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    aim: (next) => {
      target = next;
    },
    stop: async () => {
      isOver = true;
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

/** A refused sender comes back a little later, as providers do; the test's own work must go on in between. */
const breathe = () => new Promise<void>((resolve) => setTimeout(resolve, 20));

/** The event's id if it was acknowledged; undefined for any refusal or failure. */
async function post(url: string, body: Buffer, secret: string, agent: Agent): Promise<string | undefined> {
  const signature = createHmac("sha256", secret).update(body).digest("hex");
  const headers = { "content-type": "application/octet-stream", "x-hub-signature-256": `sha256=${signature}` };
  return await new Promise((resolve) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(response.statusCode === 200 ? JSON.parse(text).eventId : undefined));
      response.on("error", () => resolve(undefined));
    });
    sent.on("error", () => resolve(undefined));
    sent.end(body);
  });
}
