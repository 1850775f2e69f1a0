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
import { setTimeout as delay } from "node:timers/promises";
import { type Binaries, findBinaries } from "./binaries.ts";
import { clusterExists, ensureCluster } from "./cluster.ts";
import { EmbeddedPostgresError, messageOf } from "./embedded-error.ts";
import {
  type Endpoint,
  moveLoopbackEndpoint,
  openLoopbackEndpoint,
  openSocketEndpoint,
  runningEndpoint,
} from "./endpoint.ts";
import { type Connection, Keeper, NotAcceptingError } from "./keeper.ts";
import { openPassword } from "./password.ts";
import { type Placement, placeServer } from "./placement.ts";
import { findPostmaster, type Launch, launchPostmaster, type PostmasterFile, signalShutdown } from "./postmaster.ts";
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
/** Longest wait for a shutdown, which writes what is in memory, milliseconds. */
const STOP_MS_MAX = 60_000;
const SYSTEM_DIR = "/var/lib/alumia-webhooks";
/** Time between two looks at a server that starts or stops, milliseconds. */
const LOOK_INTERVAL_MS = 10;
/** Wait before a start that failed for a passing reason is tried again, milliseconds. */
const RELAUNCH_INTERVAL_MS = 100;
/** Longest wait for a server that starts to say who uses it, milliseconds. */
const COUNT_MS_MAX = 10_000;
/** Waits between attempts to bring a server back, milliseconds; the last one repeats. */
const RESTART_DELAYS_MS = [0, 100, 500, 1_000, 5_000];
/** Start failures that the end of another server's last processes cures. */
const PASSING_FAILURE = /pre-existing shared memory block|lock file "postmaster\.pid"/;
const PORT_TAKEN = /could not (bind|create any TCP\/IP sockets)/;

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
      const server = new PrivateServer(placement, binaries, connection, options);
      await server.attach();
      return server;
    });
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error;
    throw new EmbeddedPostgresError(`PostgreSQL cannot be started: ${messageOf(error)}`, error);
  }
}

function lockPath(placement: Placement): string {
  return join(placement.dataDir, "postgres.lock");
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

class PrivateServer implements EmbeddedPostgres {
  readonly #placement: Placement;
  readonly #binaries: Binaries;
  readonly #options: EmbeddedOptions;
  readonly #ending = new AbortController();
  #connection: Connection;
  #pid = 0;
  #keeper: Keeper | undefined;
  #bringingBack: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(placement: Placement, binaries: Binaries, connection: Connection, options: EmbeddedOptions) {
    this.#placement = placement;
    this.#binaries = binaries;
    this.#connection = connection;
    this.#options = options;
  }

  get connection(): Connection {
    return this.#connection;
  }

  get pid(): number {
    return this.#pid;
  }

  async ensureRunning(): Promise<void> {
    if (this.#keeper?.isOpen) return;
    if (this.#ending.signal.aborted) throw new EmbeddedPostgresError("PostgreSQL was given up by this process");
    this.#bringingBack ??= this.#bringBackOnce();
    await this.#bringingBack;
  }

  async stop(options: { force?: boolean } = {}): Promise<void> {
    this.#stopping ??= this.#stop(options.force ?? false);
    await this.#stopping;
  }

  /** Brings the server to where it takes connections, and opens the keeper. Call it under the start lock. */
  async attach(): Promise<void> {
    const deadline = performance.now() + this.#startMsMax;
    let launch: Launch | undefined;
    let state = "";
    while (!this.#ending.signal.aborted) {
      const running = await findPostmaster(this.#placement.cluster);
      if (running?.status === "ready") {
        await this.#refuseOtherEndpoint(running);
        if (await this.#openKeeper(running.pid, launch !== undefined)) return;
        state = "it takes no connections";
      } else if (running) {
        state = running.status === "stopping" ? "it is shutting down" : "it is still recovering";
      } else {
        launch = await this.#launchUnlessUnderWay(launch);
        state = "it has not come up";
      }
      if (performance.now() > deadline) {
        throw new EmbeddedPostgresError(`PostgreSQL is not ready after ${this.#startMsMax} ms: ${state}`);
      }
      await delay(LOOK_INTERVAL_MS);
    }
    throw new EmbeddedPostgresError("PostgreSQL was given up by this process");
  }

  async #bringBackOnce(): Promise<void> {
    try {
      await withStartLock(lockPath(this.#placement), this.#startMsMax, () => this.attach(), this.#ending.signal);
    } finally {
      this.#bringingBack = undefined;
    }
  }

  get #startMsMax(): number {
    return this.#options.startTimeoutMs ?? START_MS_MAX;
  }

  async #launchUnlessUnderWay(launch: Launch | undefined): Promise<Launch> {
    const failure = await launch?.failure();
    if (launch && failure === undefined) return launch;
    if (failure !== undefined && PORT_TAKEN.test(failure) && this.#pid === 0) {
      // Pools may hold the address only once a start has succeeded; until then it may move.
      this.#connection = { ...this.#connection, ...(await moveLoopbackEndpoint(this.#placement.dataDir)) };
    } else if (failure !== undefined) {
      if (!PASSING_FAILURE.test(failure)) throw new EmbeddedPostgresError(`PostgreSQL does not start: ${failure}`);
      await delay(RELAUNCH_INTERVAL_MS);
    }
    const endpoint: Endpoint = { host: this.#connection.host, port: this.#connection.port };
    return await launchPostmaster(this.#placement, this.#binaries, endpoint, this.#options.settings ?? {});
  }

  /** A server that another process has started on another address is out of reach of our pools. */
  async #refuseOtherEndpoint(running: PostmasterFile): Promise<void> {
    const { host, port } = this.#connection;
    const endpoint = await runningEndpoint(running, this.#placement);
    if (endpoint && (endpoint.host !== host || endpoint.port !== port)) {
      throw new EmbeddedPostgresError(`PostgreSQL listens at ${endpoint.host}, port ${endpoint.port} now: start again`);
    }
  }

  async #openKeeper(pid: number, launched: boolean): Promise<boolean> {
    try {
      const keeper = await Keeper.connect(this.#connection, this.#placement.cluster, () => this.#onLost());
      this.#keeper = keeper;
    } catch (error) {
      if (error instanceof NotAcceptingError) return false;
      // A server that we started and cannot use must not stay behind.
      if (launched) await signalShutdown(this.#placement, this.#binaries, pid);
      throw error;
    }
    this.#pid = pid;
    const message = launched ? "PostgreSQL started" : "PostgreSQL is running already: using it";
    this.#options.log("info", message, { pid, files: this.#placement.home });
    return true;
  }

  #onLost(): void {
    if (this.#ending.signal.aborted) return;
    this.#options.log("warn", "PostgreSQL ended its connections: bringing it back", { pid: this.#pid });
    void this.#bringBack();
  }

  /** Tries until the server is back or given up. Its timers do not keep a process alive that wants to end. */
  async #bringBack(): Promise<void> {
    for (let attempt = 0; !this.#ending.signal.aborted; attempt++) {
      const waitMs = RESTART_DELAYS_MS[attempt] ?? RESTART_DELAYS_MS.at(-1);
      try {
        await delay(waitMs, undefined, { ref: false, signal: this.#ending.signal });
        return await this.ensureRunning();
      } catch (error) {
        if (!this.#ending.signal.aborted) this.#options.log("error", messageOf(error));
      }
    }
  }

  async #stop(force: boolean): Promise<void> {
    this.#ending.abort();
    await this.#bringingBack?.catch(() => {});
    try {
      await withStartLock(lockPath(this.#placement), STOP_MS_MAX, () => this.#shutDownIfUnused(force));
    } finally {
      await this.#keeper?.close();
    }
  }

  async #shutDownIfUnused(force: boolean): Promise<void> {
    const others = force ? 0 : await this.#countOthers();
    await this.#keeper?.close();
    const running = await findPostmaster(this.#placement.cluster);
    if (!running) return;
    if (others > 0) {
      this.#options.log("info", "PostgreSQL stays up for other processes", { pid: running.pid, others });
      return;
    }
    await signalShutdown(this.#placement, this.#binaries, running.pid);
    await this.#waitForEnd(running.pid);
  }

  /** Processes besides us that use the server. One that takes no connections for long is taken to be in use. */
  async #countOthers(): Promise<number> {
    const deadline = performance.now() + COUNT_MS_MAX;
    while (await findPostmaster(this.#placement.cluster)) {
      try {
        if (!this.#keeper?.isOpen) {
          this.#keeper = await Keeper.connect(this.#connection, this.#placement.cluster, () => {});
        }
        return await this.#keeper.countOthers();
      } catch (error) {
        if (performance.now() > deadline) {
          this.#options.log("warn", messageOf(error));
          return 1;
        }
      }
      await delay(LOOK_INTERVAL_MS);
    }
    return 0;
  }

  async #waitForEnd(pid: number): Promise<void> {
    const deadline = performance.now() + STOP_MS_MAX;
    while ((await findPostmaster(this.#placement.cluster))?.pid === pid) {
      if (performance.now() > deadline) {
        throw new EmbeddedPostgresError(`PostgreSQL (pid ${pid}) has not shut down after ${STOP_MS_MAX} ms`);
      }
      await delay(LOOK_INTERVAL_MS);
    }
    this.#options.log("info", "PostgreSQL stopped", { pid });
  }
}
