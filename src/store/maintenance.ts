/**
 * Work behind the scenes: releasing what was held, purging what was deleted or has ended, making partitions ahead,
 * mending leases that a clock has made too long.
 */
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import { ClockWatch } from "./clock-watch.ts";
import { onBehalfOfAll } from "./on-behalf.ts";
import { ensurePartitions } from "./partitions.ts";
import { releaseStep } from "./sql/hold.ts";
import { databaseNow, shortenLeases } from "./sql/lease.ts";
import { purgeDedupe, purgeStep } from "./sql/purge.ts";

export interface MaintenanceOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly purgeRows: number;
  readonly purgeLateMs: number;
  readonly purgeRecheckMs: number;
  readonly partitionDaysAhead: number;
  readonly releaseRows: number;
  readonly leaseMs: number;
  /** Told after each step that released deliveries. */
  readonly onRelease: () => void;
}

/** How often it looks without being told, milliseconds. */
const INTERVAL_MS = 60_000;
const PARTITION_INTERVAL_MS = 3_600_000;

export class Maintenance {
  readonly #options: MaintenanceOptions;
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #partitionsAtMs = 0;
  readonly #clock = new ClockWatch();

  constructor(options: MaintenanceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.wake(), INTERVAL_MS);
    this.#timer.unref();
    this.wake();
  }

  /** Looks for work now. */
  wake(): void {
    if (this.#stopped) return;
    this.#again = true;
    this.#running ??= onBehalfOfAll(() => this.#run()).finally(() => {
      this.#running = undefined;
    });
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        await this.#turn();
      } catch (error) {
        this.#options.logger.warn({ err: error }, "maintenance will be tried again");
      }
    }
  }

  async #turn(): Promise<void> {
    const { pool, purgeRows, purgeLateMs, purgeRecheckMs, partitionDaysAhead, releaseRows, onRelease } = this.#options;
    const step = { rows: purgeRows, lateMs: purgeLateMs, recheckMs: purgeRecheckMs };
    await this.#mendLeases();
    while (!this.#stopped && (await releaseStep(pool, releaseRows))) onRelease();
    while (!this.#stopped && (await purgeStep(pool, step)));
    while (!this.#stopped && (await purgeDedupe(pool, purgeRows)));
    if (performance.now() - this.#partitionsAtMs > PARTITION_INTERVAL_MS) {
      await ensurePartitions(pool, Date.now(), partitionDaysAhead);
      this.#partitionsAtMs = performance.now();
    }
  }

  /** At the start, and whenever the database's clock was set back: leases must not outlast their owners by that much. */
  async #mendLeases(): Promise<void> {
    const { pool, leaseMs, logger } = this.#options;
    const fellBackMs = this.#clock.look(await databaseNow(pool), performance.now());
    if (fellBackMs !== undefined && fellBackMs < leaseMs) return;
    if (fellBackMs !== undefined) logger.warn({ fellBackMs }, "the database's clock was set back");
    await shortenLeases(pool, leaseMs);
  }

  /** Ends the step under way. May be called twice. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }
}
