/** The whole service as its users run it: a process of its own, its private PostgreSQL with fsync on, a clean directory. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "pg";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";
import { FIRST, LATE } from "../../src/store/sql/lanes.ts";
import { type Api, createApi } from "../support/api.ts";
import { COMPILE_CACHE } from "../support/compile-cache.ts";
import { memoryMiB, processTreeSeconds } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
/** Signs every event; the form that has no event id, so that the same bytes may be sent again and again. */
export const SECRET = "a-secret-that-the-bench-shares";

export interface Webhook {
  readonly id: string;
  readonly organizationId: string;
  readonly path: string;
}

export class Gateway {
  #port: number;
  #service: ChildProcess;
  readonly #directory: string;
  readonly #key: string;
  readonly #postgres: EmbeddedPostgres;
  readonly #client: Client;

  private constructor(parts: {
    port: number;
    service: ChildProcess;
    directory: string;
    key: string;
    postgres: EmbeddedPostgres;
    client: Client;
  }) {
    this.#port = parts.port;
    this.#service = parts.service;
    this.#directory = parts.directory;
    this.#key = parts.key;
    this.#postgres = parts.postgres;
    this.#client = parts.client;
  }

  /** Starts it in `directory`; resolves when it says that it is ready. */
  static async start(directory: string, env: Readonly<Record<string, string>> = {}): Promise<Gateway> {
    const { child, port } = await spawnService(directory, env);
    const postgres = await startEmbeddedPostgres({ dataDir: directory, log: () => {} });
    const client = new Client({ ...postgres.connection, application_name: "bench" });
    await client.connect();
    const key = (await readFile(join(directory, "api-key"), "utf8")).trim();
    return new Gateway({ port, service: child, directory, key, postgres, client });
  }

  get port(): number {
    return this.#port;
  }

  /** The REST API, as the first organization. */
  get api(): Api {
    return createApi(`http://127.0.0.1:${this.#port}`, this.#key);
  }

  /** Kills the service with kill -9, and starts it again beside the server, which goes on. */
  async killAndRestart(): Promise<void> {
    const exited = once(this.#service, "exit");
    this.#service.kill("SIGKILL");
    await exited;
    const { child, port } = await spawnService(this.#directory, {});
    [this.#service, this.#port] = [child, port];
  }

  async createWebhook(url: string | undefined): Promise<Webhook> {
    const named = { name: "bench", secret: SECRET, ...(url === undefined ? {} : { url }) };
    const { status, body } = await this.api.post("/webhooks", named);
    if (status !== 201) throw new Error(`HTTP ${status}: ${JSON.stringify(body)}`);
    const { id, receiveUrl } = body as { id: string; receiveUrl: string };
    const organizationId = await this.query<string>("select organization_id from webhooks where id = $1", [id]);
    return { id, organizationId, path: new URL(receiveUrl).pathname };
  }

  /** The first column of the first row. */
  async query<Value>(sql: string, values: unknown[] = []): Promise<Value> {
    const { rows } = await this.#client.query({ text: sql, values, rowMode: "array" });
    return rows[0]?.[0] as Value;
  }

  /** Does work on a connection of its own. */
  async withClient<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
    const client = new Client({ ...this.#postgres.connection, application_name: "bench" });
    await client.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }

  /** Resolves when nothing is under way any more, or due within the hour. */
  async settled(): Promise<void> {
    const rows = (which: string) => `exists (select from delivery_queue q where ${which})`;
    const [first, late] = [FIRST, LATE].map((which) => rows(`${which} and q.due_at < now() + interval '1 hour'`));
    const owed = `select ${first} or ${late} or ${rows("q.laned")}`;
    while (await this.query<boolean>(owed)) await sleep(10);
  }

  /** Processor seconds used so far by the service and by PostgreSQL. */
  async cpuSeconds(): Promise<{ service: number; postgres: number }> {
    const [service, postgres] = await Promise.all([
      processTreeSeconds(this.#service.pid ?? 0),
      processTreeSeconds(this.#postgres.pid),
    ]);
    return { service, postgres };
  }

  /** Resident memory of the service, MiB. */
  memoryMiB(): Promise<number> {
    return memoryMiB(this.#service.pid ?? 0);
  }

  /** Ends the service, and with it the server; the files stay. */
  async stop(): Promise<void> {
    await this.#client.end();
    await this.#postgres.stop();
    const exited = once(this.#service, "exit");
    this.#service.kill("SIGTERM");
    await exited;
  }

  get directory(): string {
    return this.#directory;
  }
}

/** Milliseconds from the start of the process to its readiness; it is stopped again. */
export async function startTimeMs(directory: string): Promise<number> {
  const startMs = performance.now();
  const { child } = await spawnService(directory, {});
  const ms = performance.now() - startMs;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
  return ms;
}

export async function makeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "alumia-bench-"));
  // A run as root: the server's own user must be able to pass through.
  await chmod(directory, 0o711);
  return directory;
}

export const removeDirectory = (directory: string) => rm(directory, { recursive: true, force: true, maxRetries: 5 });

async function spawnService(directory: string, env: Readonly<Record<string, string>>) {
  const child = spawn(process.execPath, [MAIN, "serve", "--dev"], {
    env: { PATH: process.env.PATH, ...COMPILE_CACHE, PORT: "0", DATA_DIR: directory, LOG_LEVEL: "error", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit").then(([code]) => Promise.reject(new Error(`the service ended with ${code}`)));
  const ready = new Promise<number>((resolve) => {
    let seen = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      seen += text;
      const port = /ready at \S+:(\d+)/.exec(seen)?.[1];
      if (port !== undefined) resolve(Number(port));
    });
  });
  const port = await Promise.race([ready, exited]);
  exited.catch(() => {});
  return { child, port };
}
