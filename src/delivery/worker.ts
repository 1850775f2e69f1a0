/**
 * The delivery loop.
 *
 *   committed by this process ──reserve/start──▶ run ──▶ recorded: finished, or back in the queue
 *   due in the queue ─────────────claim────────▶ run
 *
 * The database row is the truth; memory only makes it fast. Bounds: attempts under way (slots), runs in memory, rows
 * of a claim. Leases are extended while an attempt is under way; a run whose lease is lost is aborted.
 */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import type { HandedOver, Handover } from "../core/handover.ts";
import type { ReceivingWebhook } from "../core/receiving-webhook.ts";
import type { Logger } from "../observe/logger.ts";
import { runBatch } from "../store/batch-errors.ts";
import { GroupCommit } from "../store/group-commit.ts";
import { claimDue, untilNextDue } from "../store/sql/claim.ts";
import { type CompletedAttempt, completeAttempts } from "../store/sql/complete.ts";
import { settleBlocked } from "../store/sql/hold.ts";
import { extendLeases } from "../store/sql/lease.ts";
import { Alarm } from "./alarm.ts";
import type { ForwardSettings } from "./forward.ts";
import { type RunContext, type RunJob, runDelivery } from "./run.ts";
import { Slots } from "./slots.ts";

/** How long the loop rests after the store has failed, milliseconds. */
const STORE_REST_MS = 500;

export interface WorkerOptions {
  readonly pool: Pool;
  readonly logger: Logger;
  readonly forward: ForwardSettings;
  readonly loadWebhook: (id: string) => Promise<ReceivingWebhook | undefined>;
  readonly schedule: readonly number[];
  readonly leaseMs: number;
  readonly concurrency: number;
  readonly runsMax: number;
  readonly claimRowsMax: number;
  readonly claimIntervalMs: number;
  readonly quickDelayMsMax: number;
  readonly completeRowsMax: number;
  readonly batchRetriesMax: number;
  readonly random?: () => number;
}

interface Run {
  readonly job: RunJob;
  readonly abort: AbortController;
  readonly ended: Promise<void>;
}

export class DeliveryWorker implements Handover {
  readonly #options: WorkerOptions;
  readonly #slots: Slots;
  readonly #completions: GroupCommit<CompletedAttempt, boolean>;
  /** By lease token: a worker may take a delivery over from itself. */
  readonly #runs = new Map<string, Run>();
  readonly #reserved = new Set<string>();
  readonly #alarm = new Alarm();
  readonly #stopping = new AbortController();
  #loop: Promise<void> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #backlog = false;
  #lastTurnMs = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#slots = new Slots(options.concurrency);
    const { pool, leaseMs, batchRetriesMax } = options;
    this.#completions = new GroupCommit(
      (attempts) => runBatch(attempts, (batch) => completeAttempts(pool, batch, leaseMs), batchRetriesMax),
      {
        batchRowsMax: options.completeRowsMax,
        batchBytesMax: Number.MAX_SAFE_INTEGER,
        inFlightMax: 2,
        // Every run submits one completion at a time, so the runs bound the queue.
        queueRowsMax: options.runsMax + options.concurrency,
        queueBytesMax: Number.MAX_SAFE_INTEGER,
      },
    );
  }

  /** Begins to claim. May be called twice. */
  start(): void {
    if (this.#loop) return;
    this.#loop = this.#claimLoop();
    this.#heartbeat = setInterval(() => void this.#extend(), Math.max(this.#options.leaseMs / 3, 50));
    this.#heartbeat.unref();
  }

  /** Whether the loop has turned lately: two lease lengths, at least ten seconds. */
  get alive(): boolean {
    const patienceMs = Math.max(2 * this.#options.leaseMs, 10_000);
    return this.#loop !== undefined && performance.now() - this.#lastTurnMs < patienceMs;
  }

  reserve(): string | null {
    const room = Math.min(this.#slots.free, this.#options.runsMax - this.#runs.size) - this.#reserved.size;
    if (room <= 0 || !this.#loop || this.#stopping.signal.aborted) return null;
    const token = randomUUID();
    this.#reserved.add(token);
    return token;
  }

  cancel(leaseToken: string): void {
    this.#reserved.delete(leaseToken);
  }

  wake(): void {
    this.#alarm.ring();
  }

  take({ webhook, event, ...ids }: HandedOver): void {
    this.#reserved.delete(ids.leaseToken);
    const first = { number: 1, step: 1, manual: false, resumeAtMs: null };
    this.#run({ ...ids, ...first, eventId: event.id, handed: { webhook, event } });
  }

  #run(job: RunJob): void {
    const abort = new AbortController();
    const ended = runDelivery(job, this.#contextOf(abort.signal))
      .catch((error) => this.#options.logger.error({ delivery: job.deliveryId, err: error }, "a delivery run failed"))
      .finally(() => {
        this.#runs.delete(job.leaseToken);
        if (this.#backlog) this.#alarm.ring();
      });
    this.#runs.set(job.leaseToken, { job, abort, ended });
  }

  #contextOf(signal: AbortSignal): RunContext {
    const { pool, forward, schedule, leaseMs, quickDelayMsMax, loadWebhook, random = Math.random } = this.#options;
    return {
      pool,
      slots: this.#slots,
      settings: forward,
      schedule,
      leaseMs,
      quickDelayMsMax: Math.min(quickDelayMsMax, leaseMs),
      random,
      signal,
      stopping: this.#stopping.signal,
      loadWebhook,
      complete: (attempt) => this.#complete(attempt),
    };
  }

  /** Records an outcome, again and again while the store is down and the lease may still hold. */
  async #complete(attempt: CompletedAttempt): Promise<boolean> {
    const untilMs = performance.now() + this.#options.leaseMs;
    for (;;) {
      try {
        return await this.#completions.submit(attempt);
      } catch (error) {
        if (performance.now() >= untilMs) throw error;
        this.#options.logger.warn({ delivery: attempt.deliveryId, err: error }, "an attempt could not be recorded yet");
        await new Promise((resolve) => setTimeout(resolve, STORE_REST_MS));
      }
    }
  }

  async #claimLoop(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#lastTurnMs = performance.now();
      const rang = this.#alarm.next();
      const restMs = await this.#turn().catch((error) => {
        this.#options.logger.error({ err: error }, "the delivery loop could not claim");
        return STORE_REST_MS;
      });
      if (restMs > 0) await this.#alarm.wait(rang, restMs);
    }
  }

  /** Claims what there is room for; resolves to how long to rest. */
  async #turn(): Promise<number> {
    const { pool, claimRowsMax, leaseMs, claimIntervalMs, runsMax } = this.#options;
    const room = Math.min(this.#slots.free, runsMax - this.#runs.size) - this.#reserved.size;
    const limit = Math.min(room, claimRowsMax);
    this.#backlog = limit <= 0;
    if (limit <= 0) return claimIntervalMs;
    const { claimed, blocked } = await claimDue(pool, limit, leaseMs);
    for (const job of claimed) this.#run(job);
    if (blocked.length > 0) await settleBlocked(pool, blocked);
    if (claimed.length + blocked.length === limit) return 0;
    const nextMs = await untilNextDue(pool);
    return Math.min(Math.max(nextMs ?? claimIntervalMs, 1), claimIntervalMs);
  }

  async #extend(): Promise<void> {
    const jobs = [...this.#runs.values()].map((run) => run.job);
    if (jobs.length === 0) return;
    try {
      const held = await extendLeases(this.#options.pool, jobs, this.#options.leaseMs);
      for (const job of jobs) if (!held.has(job.leaseToken)) this.#abandon(job);
    } catch (error) {
      this.#options.logger.warn({ err: error }, "leases could not be extended");
    }
  }

  /** Another worker has the delivery, or it is gone: whatever this run still does would not count. */
  #abandon(job: RunJob): void {
    this.#runs.get(job.leaseToken)?.abort.abort();
  }

  /** Stops claiming, lets attempts under way end for up to `graceMs`, gives leases back. May be called twice. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    this.#alarm.ring();
    await this.#loop;
    const ended = Promise.all([...this.#runs.values()].map((run) => run.ended));
    const grace = setTimeout(() => {
      for (const run of this.#runs.values()) run.abort.abort();
    }, graceMs);
    await ended;
    clearTimeout(grace);
    clearInterval(this.#heartbeat);
    await this.#completions.drain();
  }
}
