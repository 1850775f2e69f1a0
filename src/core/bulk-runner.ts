/**
 * Steps bulk jobs, whoever made them: one step at a time, the job that has waited longest first. Every replica does so,
 * and a job's row says when its next step is due, so that its rate holds for all of them together.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import type { Logger } from "../observe/logger.ts";
import { Chore } from "../store/chore.ts";
import { type BulkStepOptions, stepBulkJob, untilNextStep } from "../store/sql/bulk-step.ts";

/** How often jobs of other replicas are looked for, milliseconds; what is due before that is waited for. */
const LOOK_MS = 1_000;

export interface BulkRunnerOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly step: BulkStepOptions;
  /** Told after each step that made deliveries due. */
  readonly onDue: () => void;
}

export class BulkRunner {
  readonly #options: BulkRunnerOptions;
  readonly #chore: Chore;

  constructor(options: BulkRunnerOptions) {
    this.#options = options;
    const work = (signal: AbortSignal) => this.#work(signal);
    this.#chore = new Chore({ name: "bulk", logger: options.logger, firstMs: 0, everyMs: LOOK_MS, work });
  }

  start(): void {
    this.#chore.start();
  }

  /** Looks for work now. */
  wake(): void {
    this.#chore.wake();
  }

  async #work(signal: AbortSignal): Promise<void> {
    const { pool, logger, step, onDue } = this.#options;
    while (!signal.aborted) {
      const taken = await stepBulkJob(pool, step);
      if (taken && taken.done > 0) onDue();
      if (taken?.finished) logger.info({ job: taken.jobId }, "bulk job done");
      if (taken) continue;
      const waitMs = await untilNextStep(pool);
      if (waitMs === null || waitMs > LOOK_MS) return;
      await sleep(Math.max(waitMs, 1), undefined, { signal }).catch(() => {});
    }
  }

  /** Ends the step under way. May be called twice. */
  async stop(): Promise<void> {
    await this.#chore.stop();
  }
}
