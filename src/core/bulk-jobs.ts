/**
 * Bulk jobs: retry, replay or cancel all deliveries that a filter matches.
 *
 *   running ──(the last delivery is dealt with)──► done
 *     │ ▲ pause, resume
 *     ▼ │
 *   paused ──(cancel, also of one that runs)──► canceled
 *
 * What matches is fixed when the job is made. When a delivery's turn comes, it is dealt with if it still matches, and
 * else counted as skipped.
 */
import type { Pool } from "pg";
import { AppError, invalidField } from "../errors.ts";
import { type BulkAction, BulkJob, type BulkJobState } from "../store/entities/bulk-job.ts";
import { Webhook } from "../store/entities/webhook.ts";
import { type Orm, organizationScope } from "../store/orm.ts";
import { type BulkJobChange, changeBulkJob, countMatches, insertBulkJob } from "../store/sql/bulk-jobs.ts";
import type { DeliveryFilter } from "../store/sql/delivery-scan.ts";
import type { Caller } from "./caller.ts";
import { type DeliveryQuery, deliveryFilter } from "./deliveries.ts";
import type { FairTurns } from "./fair-turns.ts";
import { newId } from "./ids.ts";
import { findPage, type Page, type PageRequest } from "./pages.ts";
import { noSuchWebhook } from "./webhook-settings.ts";

export interface BulkRequest {
  readonly action: BulkAction;
  readonly query: DeliveryQuery;
  readonly ratePerSecond: number;
}

/** What a job would do. */
export interface DryRun extends BulkRequest {
  readonly filter: DeliveryFilter;
  readonly matched: number;
}

export interface BulkJobsOptions {
  readonly orm: Orm;
  readonly pool: Pool;
  readonly scanPool: Pool;
  readonly limits: { readonly bulkMatchesMax: number; readonly bulkJobsMax: number };
  /** Turns at counting what matches. */
  readonly turns: FairTurns;
  /** Tells the runner that there is a step to take. */
  readonly wake: () => void;
}

/** States that a job looks for where none are named: those that it can change. */
const STATUSES: Readonly<Record<BulkAction, readonly string[]>> = {
  retry: ["pending", "delivering", "paused", "failed", "canceled"],
  cancel: ["pending", "delivering", "paused"],
  replay: [],
};

const noSuchJob = () => new AppError("NOT_FOUND", "no such bulk job");

export class BulkJobs {
  readonly #options: BulkJobsOptions;

  constructor(options: BulkJobsOptions) {
    this.#options = options;
  }

  /** Counts what a job would deal with, exactly, and changes nothing. */
  async dryRun(caller: Caller, request: BulkRequest): Promise<DryRun> {
    const { scanPool, turns, limits } = this.#options;
    const filter = await this.#filterOf(caller, request);
    const count = () => countMatches(scanPool, filter, limits.bulkMatchesMax);
    const matched = await turns.take(caller.organizationId, count);
    if (matched > limits.bulkMatchesMax) throw this.#tooManyMatches();
    return { ...request, filter, matched };
  }

  /** Makes a job of what matches now. BAD_REQUEST where that is too much, CONFLICT where too many jobs are unfinished. */
  async create(caller: Caller, request: BulkRequest): Promise<BulkJob> {
    const { scanPool, turns, limits, wake } = this.#options;
    const { action, ratePerSecond } = request;
    const filter = await this.#filterOf(caller, request);
    const id = newId();
    const bounds = { matchesMax: limits.bulkMatchesMax, jobsMax: limits.bulkJobsMax };
    const insert = () => insertBulkJob(scanPool, { id, action, filter, ratePerSecond }, bounds);
    const refusal = await turns.take(caller.organizationId, insert);
    if (refusal === "too_many_matches") throw this.#tooManyMatches();
    if (refusal === "too_many_jobs") {
      throw new AppError("CONFLICT", `${limits.bulkJobsMax} bulk jobs are not finished; wait for one, or cancel one`);
    }
    wake();
    return await this.get(caller, id);
  }

  async list(caller: Caller, request: PageRequest & { readonly state: string | undefined }): Promise<Page<BulkJob>> {
    const em = organizationScope(this.#options.orm, caller.organizationId);
    const where = request.state === undefined ? {} : { state: request.state as BulkJobState };
    return await findPage(em, BulkJob, where, request, false);
  }

  async get(caller: Caller, id: string): Promise<BulkJob> {
    const em = organizationScope(this.#options.orm, caller.organizationId);
    const job = await em.findOne(BulkJob, { id });
    if (!job) throw noSuchJob();
    return job;
  }

  /** Pauses, resumes (at another rate, if one is given) or cancels it; resolves to the job as it then is. CONFLICT where it is finished. */
  async change(caller: Caller, id: string, change: BulkJobChange, ratePerSecond?: number): Promise<BulkJob> {
    const { pool, wake } = this.#options;
    const changed = await changeBulkJob(pool, caller.organizationId, id, change, ratePerSecond);
    const job = await this.get(caller, id);
    if (!changed) throw new AppError("CONFLICT", `the bulk job is ${job.state}; there is nothing to ${change}`);
    wake();
    return job;
  }

  async #filterOf(caller: Caller, { action, query }: BulkRequest): Promise<DeliveryFilter> {
    const { webhookId, type, errorCode, eventId, sinceMs, untilMs } = query;
    const named = [webhookId, type, errorCode, eventId, sinceMs, untilMs].some((field) => field !== undefined);
    if (!named && query.statuses.length === 0) {
      throw invalidField("filter", "required", "must name at least one thing that narrows it, such as webhookId");
    }
    const unfit = query.statuses.findIndex((status) => action === "cancel" && !STATUSES.cancel.includes(status));
    if (unfit >= 0) {
      throw invalidField(`filter.status[${unfit}]`, "in", `only ${STATUSES.cancel.join(", ")} can be canceled`);
    }
    const statuses = query.statuses.length > 0 ? query.statuses : STATUSES[action];
    const filter = deliveryFilter(caller, { ...query, statuses }, "filter.");
    const em = organizationScope(this.#options.orm, caller.organizationId);
    if (filter.webhookId !== null && !(await em.findOne(Webhook, { id: filter.webhookId }))) throw noSuchWebhook();
    return filter;
  }

  #tooManyMatches(): AppError {
    const most = this.#options.limits.bulkMatchesMax.toLocaleString("en");
    return invalidField("filter", "too_many", `matches more than ${most} deliveries; narrow it by since and until`);
  }
}
