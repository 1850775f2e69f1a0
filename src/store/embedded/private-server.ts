/** One process's hold on the private server: brings it up, notices its death, gives it up. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Binaries } from "./binaries.ts";
import { EmbeddedPostgresError, messageOf } from "./embedded-error.ts";
import type { EmbeddedOptions, EmbeddedPostgres } from "./embedded-postgres.ts";
import { type Endpoint, moveLoopbackEndpoint, runningEndpoint } from "./endpoint.ts";
import { type Connection, Keeper, NotAcceptingError } from "./keeper.ts";
import type { Placement } from "./placement.ts";
import { findPostmaster, type Launch, launchPostmaster, type PostmasterFile, signalShutdown } from "./postmaster.ts";
import { withStartLock } from "./start-lock.ts";

/** Longest wait for a shutdown, which writes what is in memory, milliseconds. */
const STOP_MS_MAX = 60_000;
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

/** What a private server is made of. */
export interface PrivateServerParts {
  readonly placement: Placement;
  readonly binaries: Binaries;
  readonly connection: Connection;
  readonly log: EmbeddedOptions["log"];
  readonly settings: Readonly<Record<string, string>>;
  readonly startMsMax: number;
}

export function lockPath(placement: Placement): string {
  return join(placement.dataDir, "postgres.lock");
}

export class PrivateServer implements EmbeddedPostgres {
  readonly #placement: Placement;
  readonly #binaries: Binaries;
  readonly #parts: PrivateServerParts;
  readonly #ending = new AbortController();
  #connection: Connection;
  #pid = 0;
  #keeper: Keeper | undefined;
  #bringingBack: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(parts: PrivateServerParts) {
    this.#placement = parts.placement;
    this.#binaries = parts.binaries;
    this.#parts = parts;
    this.#connection = parts.connection;
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
    const deadline = performance.now() + this.#parts.startMsMax;
    let launch: Launch | undefined;
    let state = "";
    while (!this.#ending.signal.aborted) {
      const running = await findPostmaster(this.#placement.cluster);
      if (running?.status === "ready") {
        await this.#followEndpoint(running);
        if (await this.#openKeeper(running.pid, launch !== undefined)) return;
        state = "it takes no connections";
      } else if (running) {
        state = running.status === "stopping" ? "it is shutting down" : "it is still recovering";
      } else {
        launch = await this.#launchUnlessUnderWay(launch);
        state = "it has not come up";
      }
      if (performance.now() > deadline) {
        throw new EmbeddedPostgresError(`PostgreSQL is not ready after ${this.#parts.startMsMax} ms: ${state}`);
      }
      await delay(LOOK_INTERVAL_MS);
    }
    throw new EmbeddedPostgresError("PostgreSQL was given up by this process");
  }

  async #bringBackOnce(): Promise<void> {
    try {
      await withStartLock(lockPath(this.#placement), this.#parts.startMsMax, () => this.attach(), this.#ending.signal);
    } finally {
      this.#bringingBack = undefined;
    }
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
    return await launchPostmaster(this.#placement, this.#binaries, endpoint, this.#parts.settings);
  }

  /** Goes along with the address of a server that others started, unless our pools hold another one already. */
  async #followEndpoint(running: PostmasterFile): Promise<void> {
    const { host, port } = this.#connection;
    const endpoint = await runningEndpoint(running, this.#placement);
    if (!endpoint || (endpoint.host === host && endpoint.port === port)) return;
    if (this.#pid !== 0) {
      throw new EmbeddedPostgresError(`PostgreSQL listens at ${endpoint.host}, port ${endpoint.port} now: start again`);
    }
    this.#connection = { ...this.#connection, ...endpoint };
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
    this.#parts.log("info", message, { pid, files: this.#placement.home });
    return true;
  }

  #onLost(): void {
    if (this.#ending.signal.aborted) return;
    this.#parts.log("warn", "PostgreSQL ended its connections: bringing it back", { pid: this.#pid });
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
        if (!this.#ending.signal.aborted) this.#parts.log("error", messageOf(error));
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
      this.#parts.log("info", "PostgreSQL stays up for other processes", { pid: running.pid, others });
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
          this.#parts.log("warn", messageOf(error));
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
    this.#parts.log("info", "PostgreSQL stopped", { pid });
  }
}
