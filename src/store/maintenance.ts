/**
 * Work behind the scenes: stopping what has failed for too long, releasing what was held, purging what was deleted or has ended, making and retiring history,
 * mending leases that a clock has made too long, and the doctor.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import { Chore } from "./chore.ts";
import { ClockWatch } from "./clock-watch.ts";
import type { ExaminationOptions } from "./doctor/examination.ts";
import { examine } from "./doctor/examine.ts";
import { KINDS } from "./doctor/findings.ts";
import { adoptStrays, DAY_MS, ensurePartitions, type PartitionPlan } from "./partitions.ts";
import { retire } from "./retention.ts";
import { forgetBulkJobs } from "./sql/bulk-jobs.ts";
import { purgeCaptures } from "./sql/captures.ts";

import { releaseStep, stopFailing } from "./sql/hold.ts";

import { databaseNow, shortenLeases } from "./sql/lease.ts";
import { purgeDedupe, purgeStep } from "./sql/purge.ts";
import { takeTurn } from "./turn.ts";

export interface MaintenanceOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly limits: ExaminationOptions["limits"] & { readonly retentionBatchRows: number };
  readonly retentionDays: number;
  readonly partitions: PartitionPlan;
  readonly leaseMs: number;
  /** How long every attempt of a webhook may fail before forwarding is stopped, milliseconds; null: for ever. */
  readonly stopAfterMs: number | null;
  /** Told after each step that released deliveries. */
  readonly onRelease: () => void;
  /** Told after a change of which an operational event tells. */
  readonly onNotice: () => void;
  /** Told what the database's clock says, milliseconds since the Unix epoch, once a minute. */
  readonly onDatabaseTime: (nowMs: number) => void;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** The doctor begins this long after the start, and rests this many times as long as each of its statements took. */
const DOCTOR_FIRST_MS = 10 * MINUTE_MS;
const DOCTOR_REST = 9;

export class Maintenance {
  readonly #options: MaintenanceOptions;
  readonly #changes: Chore;
  readonly #history: Chore;
  readonly #doctor: Chore;
  readonly #clock = new ClockWatch();

  constructor(options: MaintenanceOptions) {
    this.#options = options;
    const { logger } = options;
    const changes = (signal: AbortSignal) => this.#followChanges(signal);
    const history = (signal: AbortSignal) => this.#keepHistory(signal);
    const doctor = (signal: AbortSignal) => this.#examine(signal);
    this.#changes = new Chore({ name: "changes", logger, firstMs: 0, everyMs: MINUTE_MS, work: changes });
    this.#history = new Chore({ name: "history", logger, firstMs: 0, everyMs: HOUR_MS, work: history });
    this.#doctor = new Chore({ name: "doctor", logger, firstMs: DOCTOR_FIRST_MS, everyMs: HOUR_MS, work: doctor });
  }

  start(): void {
    this.#changes.start();
    this.#history.start();
    this.#doctor.start();
  }

  /** Looks now for what a resume or a delete has left to do. */
  wake(): void {
    this.#changes.wake();
  }

  async #followChanges(signal: AbortSignal): Promise<void> {
    const { pool, limits, onRelease } = this.#options;
    const step = { rows: limits.purgeBatchRows, lateMs: limits.purgeLateMs, recheckMs: limits.purgeRecheckMs };
    await this.#mendLeases();
    await this.#stopFailing();
    while (!signal.aborted && (await releaseStep(pool, limits.releaseBatchRows))) onRelease();
    while (!signal.aborted && (await purgeStep(pool, step)));
    while (!signal.aborted && (await purgeDedupe(pool, limits.purgeBatchRows)));
  }

  async #stopFailing(): Promise<void> {
    const { pool, stopAfterMs, leaseMs, logger, onNotice } = this.#options;
    if (stopAfterMs === null) return;
    for (const webhook of await stopFailing(pool, stopAfterMs, leaseMs)) {
      onNotice();
      logger.warn({ webhook, reason: "failing" }, "forwarding stopped: every attempt has failed for too long");
    }
  }

  /** At the start, and whenever the database's clock was set back: leases must not outlast their owners by that much. */
  async #mendLeases(): Promise<void> {
    const { pool, leaseMs, logger, onDatabaseTime } = this.#options;
    const nowMs = await databaseNow(pool);
    onDatabaseTime(nowMs);
    const fellBackMs = this.#clock.look(nowMs, performance.now());
    if (fellBackMs !== undefined && fellBackMs < leaseMs) return;
    if (fellBackMs !== undefined) logger.warn({ fellBackMs }, "the database's clock was set back");
    await shortenLeases(pool, leaseMs);
  }

  /** Retires what is old before it makes what is new: a partition may be made where old rows lay. */
  async #keepHistory(signal: AbortSignal): Promise<void> {
    const { pool, limits, logger, partitions, retentionDays, onNotice } = this.#options;
    await takeTurn(pool, "retention", async (client) => {
      const nowMs = Date.now();
      const { expired, dropped, trimmed } = await retire(client, {
        retentionDays,
        rows: limits.retentionBatchRows,
        nowMs,
        signal,
      });
      if (expired > 0) onNotice();
      if (expired > 0) logger.warn({ deliveries: expired }, "deliveries still owed after RETENTION_DAYS have expired");
      if (dropped.length + trimmed > 0) logger.info({ partitions: dropped, rows: trimmed }, "old history was dropped");
      if (!(await ensurePartitions(client, nowMs, partitions))) logger.warn("some partitions could not be made yet");
      await purgeCaptures(client);
      while (!signal.aborted && (await forgetBulkJobs(client, retentionDays, limits.retentionBatchRows)));
      await adoptStrays(client, nowMs, nowMs - retentionDays * DAY_MS, partitions);
    });
  }

  async #examine(signal: AbortSignal): Promise<void> {
    const { pool, limits, logger, retentionDays, partitions, leaseMs } = this.#options;
    const pause = async (ms: number) => void (await sleep(ms, undefined, { signal, ref: false }).catch(() => {}));
    const rest = (tookMs: number) => pause(DOCTOR_REST * tookMs);
    await takeTurn(pool, "doctor", async () => {
      const options = { mend: true, limits, retentionDays, partitions, leaseMs, rest, wait: pause, signal };
      for (const finding of await examine(pool, options)) logger.warn(finding, KINDS[finding.kind].says);
    });
  }

  /** Ends the steps under way. May be called twice. */
  async stop(): Promise<void> {
    await Promise.all([this.#changes.stop(), this.#history.stop(), this.#doctor.stop()]);
  }
}
