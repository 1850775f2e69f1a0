/** Recording the outcomes of attempts: in batches, and again and again while the store is down. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import type { Observer } from "../observe/observer.ts";
import { runBatch } from "../store/batch-errors.ts";
import { GroupCommit } from "../store/group-commit.ts";
import { type CompletedAttempt, completeAttempts } from "../store/sql/complete.ts";

/** How long to rest after the store has failed, milliseconds. */
export const STORE_REST_MS = 500;

export interface CompletionsOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly observer: Observer;
  readonly leaseMs: number;
  readonly completeRowsMax: number;
  readonly queueRowsMax: number;
  readonly batchRetriesMax: number;
  /** Aborted when nothing is tried again any more. */
  readonly overdue: AbortSignal;
}

export class Completions {
  readonly #options: CompletionsOptions;
  readonly #batches: GroupCommit<CompletedAttempt, boolean>;

  constructor(options: CompletionsOptions) {
    this.#options = options;
    const { pool, observer, leaseMs, batchRetriesMax } = options;
    const complete = (attempts: CompletedAttempt[]) =>
      runBatch(attempts, (batch) => completeAttempts(pool, batch, leaseMs), batchRetriesMax);
    this.#batches = new GroupCommit(
      (attempts) => observer.batch("complete", attempts.length, () => complete(attempts)),
      {
        batchRowsMax: options.completeRowsMax,
        batchBytesMax: Number.MAX_SAFE_INTEGER,
        inFlightMax: 2,
        queueRowsMax: options.queueRowsMax,
        queueBytesMax: Number.MAX_SAFE_INTEGER,
      },
    );
  }

  /** Attempts that wait for a batch. */
  get waiting(): number {
    return this.#batches.waiting;
  }

  /** Commits the outcome, however often it takes while the lease may still hold; false if the lease was lost. */
  async record(attempt: CompletedAttempt): Promise<boolean> {
    const { leaseMs, logger, overdue } = this.#options;
    const untilMs = performance.now() + leaseMs;
    for (;;) {
      try {
        return await this.#batches.submit(attempt);
      } catch (error) {
        if (performance.now() >= untilMs || overdue.aborted) throw error;
        logger.warn({ delivery: attempt.deliveryId, err: error }, "an attempt could not be recorded yet");
        await sleep(STORE_REST_MS, undefined, { signal: overdue }).catch(() => {});
      }
    }
  }

  /** Resolves once everything that was given to it is settled. */
  drain(): Promise<void> {
    return this.#batches.drain();
  }
}
