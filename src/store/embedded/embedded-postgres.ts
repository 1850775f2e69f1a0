/**
 * The service's private PostgreSQL: one server per data directory, shared by every process of ours that uses it.
 *
 *   absent ──start──▶ running ──death──▶ absent (started again by whoever notices first)
 *                        │
 *                        └──stop of its last user──▶ absent
 *
 * A start takes the lock, adopts the server that runs or launches one, and opens a keeper connection; only then it
 * gives the lock back. A stop takes the lock too, and shuts the server down when no other process has a keeper. So
 * nobody's server is stopped between being found and being used. A process that is killed leaves the server running
 * for the next start to adopt.
 */
import { join, resolve } from "node:path";
import { type Binaries, findBinaries } from "./binaries.ts";
import { clusterExists, ensureCluster } from "./cluster.ts";
import { EmbeddedPostgresError, messageOf } from "./embedded-error.ts";
import { openLoopbackEndpoint, openSocketEndpoint, runningEndpoint } from "./endpoint.ts";
import type { Connection } from "./keeper.ts";
import { openPassword } from "./password.ts";
import { type Placement, placeServer } from "./placement.ts";
import { findPostmaster } from "./postmaster.ts";
import { lockPath, PrivateServer } from "./private-server.ts";
import { withStartLock } from "./start-lock.ts";

export interface EmbeddedOptions {
  /** The service's data directory; made when missing. */
  readonly dataDir: string;
  readonly log: (level: "info" | "warn" | "error", message: string, fields?: object) => void;
  /** More PostgreSQL settings, by name. They count when this process is the one that starts the server. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Longest start, crash recovery included, milliseconds (default 120,000). */
  readonly startTimeoutMs?: number;
  /** A Unix socket, or loopback TCP with SCRAM (default: socket, except on Windows). */
  readonly transport?: "socket" | "loopback";
  /** For a service started as root: where files go that cannot be in the data directory. */
  readonly systemDir?: string;
}

export interface EmbeddedPostgres {
  /** What `pg` takes; stays the same as long as this object lives. `host` is the socket's directory, or 127.0.0.1. */
  readonly connection: Connection;
  /** Process id of the server as last seen. */
  readonly pid: number;
  /** Resolves when the server runs and takes connections, starting it if need be. Cheap while it runs. */
  ensureRunning(): Promise<void>;
  /**
   * Gives the server up, and shuts it down if nobody else uses it, or in any case with `force`. Close pools before.
   * Calling it again does nothing.
   */
  stop(options?: { force?: boolean }): Promise<void>;
}

const ROLE = "alumia";
const DATABASE = "alumia";
const START_MS_MAX = 120_000;
const SYSTEM_DIR = "/var/lib/alumia-webhooks";

/**
 * Finds or starts the private server of a data directory.
 *
 * @throws EmbeddedPostgresError with one line for the operator.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const systemDir = options.systemDir ?? SYSTEM_DIR;
  try {
    const placement = await placeServer(resolve(options.dataDir), systemDir);
    if (placement.elsewhere) {
      const where = { dataDir: placement.dataDir, files: placement.home };
      options.log("info", "PostgreSQL's user cannot enter DATA_DIR: the database's files are elsewhere", where);
    }
    const cacheDir = placement.user ? systemDir : join(placement.dataDir, "postgres-programs");
    const binaries = await findBinaries(placement.user, cacheDir);
    const startMsMax = options.startTimeoutMs ?? START_MS_MAX;
    return await withStartLock(lockPath(placement), startMsMax, async () => {
      const connection = await openConnection(placement, binaries, options.transport);
      const { log, settings = {} } = options;
      const server = new PrivateServer({ placement, binaries, connection, log, settings, startMsMax });
      await server.attach();
      return server;
    });
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(`PostgreSQL cannot be started: ${messageOf(error)}`, error);
  }
}

/** Makes the cluster if there is none, and says how to reach the server that runs, or will. Under the start lock. */
async function openConnection(placement: Placement, binaries: Binaries, transport: EmbeddedOptions["transport"]) {
  const password = await openPassword(placement.dataDir, await clusterExists(placement));
  await ensureCluster(placement, binaries, ROLE, password);
  const onSocket = (transport ?? (process.platform === "win32" ? "loopback" : "socket")) === "socket";
  const running = await findPostmaster(placement.cluster);
  const endpoint =
    (running && (await runningEndpoint(running, placement))) ??
    (onSocket ? await openSocketEndpoint(placement) : await openLoopbackEndpoint(placement.dataDir));
  return { ...endpoint, user: ROLE, password, database: DATABASE };
}
