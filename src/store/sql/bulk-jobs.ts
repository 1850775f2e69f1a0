/** Bulk jobs: counting what a filter matches, making a job of it, steering it, forgetting it. */
import type { ClientBase, Pool } from "pg";
import type { BulkAction } from "../entities/bulk-job.ts";
import { transaction } from "../transaction.ts";
import { allMatches, type DeliveryFilter } from "./delivery-scan.ts";
import { raiseNotice } from "./notices.ts";
import { Parameters } from "./scan.ts";

/** Ids of one chunk. */
export const CHUNK_IDS = 500;

/** How many deliveries match now, in one snapshot; `most` + 1 if there are more than `most`. */
export async function countMatches(pool: Pool, filter: DeliveryFilter, most: number): Promise<number> {
  const parameters = new Parameters();
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from (${allMatches(filter, most + 1, parameters)}) m`,
    parameters.values,
  );
  return rows[0]?.n ?? 0;
}

export interface NewBulkJob {
  readonly id: string;
  readonly action: BulkAction;
  readonly filter: DeliveryFilter;
  readonly ratePerSecond: number;
}

/** Why there is no new job. */
export type BulkJobRefusal = "too_many_jobs" | "too_many_matches";

/**
 * Makes a job of what matches now, in one snapshot; resolves to why not, or null when done. An organization has
 * `jobsMax` jobs at most that are not finished.
 */
export async function insertBulkJob(
  pool: Pool,
  job: NewBulkJob,
  { matchesMax, jobsMax }: { readonly matchesMax: number; readonly jobsMax: number },
): Promise<BulkJobRefusal | null> {
  const { organizationId } = job.filter;
  try {
    return await transaction(pool, async (client) => {
      // Those of one organization are made one after the other, so that they are counted.
      await client.query("select 1 from organizations where id = $1 for no key update", [organizationId]);
      const { rows: unfinished } = await client.query<{ n: number }>(
        "select count(*)::int as n from bulk_jobs where organization_id = $1 and finished_at is null",
        [organizationId],
      );
      if ((unfinished[0]?.n ?? 0) >= jobsMax) return "too_many_jobs";
      await client.query(
        `insert into bulk_jobs (id, organization_id, action, filter, state, rate_per_second, matched, next_at, created_at,
           updated_at)
         values ($1, $2, $3, $4, 'running', $5, 0, now(), now(), now())`,
        [job.id, organizationId, job.action, job.filter, job.ratePerSecond],
      );
      const matched = await insertChunks(client, job, matchesMax);
      if (matched > matchesMax) throw new TooManyMatches();
      await client.query(
        `update bulk_jobs set matched = $2, state = case when $2 = 0 then 'done' else state end,
           finished_at = case when $2 = 0 then now() end where id = $1`,
        [job.id, matched],
      );
      if (matched === 0) await tellFinished(client, job.id);
      return null;
    });
  } catch (error) {
    if (error instanceof TooManyMatches) return "too_many_matches";
    throw error;
  }
}

/** Ends the transaction that has written too much. */
class TooManyMatches extends Error {}

async function insertChunks(client: ClientBase, { id, filter }: NewBulkJob, most: number): Promise<number> {
  const parameters = new Parameters();
  const { rows } = await client.query<{ n: number }>(
    `with matched as materialized (${allMatches(filter, most + 1, parameters)}
     ), chunks as (
       insert into bulk_job_chunks (job_id, number, ids)
       select ${parameters.add(id)}, number, array_agg(id order by id)
       from (select id, (row_number() over (order by id) - 1) / ${CHUNK_IDS} as number from matched) m group by number
     )
     select count(*)::int as n from matched`,
    parameters.values,
  );
  return rows[0]?.n ?? 0;
}

/** What may be asked of a job that is not finished. */
export type BulkJobChange = "pause" | "resume" | "cancel";

const STATES: Readonly<Record<BulkJobChange, string>> = { pause: "paused", resume: "running", cancel: "canceled" };

/**
 * Changes a job, and its rate if one is given; false if there is none, or it is finished. A step that is under way comes
 * before.
 */
export async function changeBulkJob(
  pool: Pool,
  organizationId: string,
  id: string,
  change: BulkJobChange,
  ratePerSecond: number | null = null,
): Promise<boolean> {
  return await transaction(pool, async (client) => {
    const { rowCount } = await client.query(
      `update bulk_jobs set state = $3, next_at = greatest(next_at, now()), updated_at = now(),
         rate_per_second = coalesce($4, rate_per_second), finished_at = case when $3 = 'canceled' then now() end
       where id = $1 and organization_id = $2 and finished_at is null`,
      [id, organizationId, STATES[change], ratePerSecond],
    );
    if (rowCount === 1 && change === "cancel") {
      await dropChunks(client, id);
      await tellFinished(client, id);
    }
    return rowCount === 1;
  });
}

export async function dropChunks(client: ClientBase, jobId: string): Promise<void> {
  await client.query("delete from bulk_job_chunks where job_id = $1", [jobId]);
}

interface Finished {
  readonly organizationId: string;
  readonly bulkJobId: string;
  readonly action: string;
  readonly state: string;
  readonly matched: number;
  readonly done: number;
  readonly skipReasons: Readonly<Record<string, number>>;
}

/** Tells that a job is done or canceled, in the transaction that ends it. */
export async function tellFinished(client: ClientBase, jobId: string): Promise<void> {
  const { rows } = await client.query<Finished>(
    `select organization_id as "organizationId", id as "bulkJobId", action, state, matched, done,
       skipped as "skipReasons" from bulk_jobs where id = $1`,
    [jobId],
  );
  if (!rows[0]) return;
  const { organizationId, ...data } = rows[0];
  await raiseNotice(client, { organizationId, webhookId: null, type: "bulk_job.finished", data });
}

/** Forgets up to `rows` jobs that finished more than `days` ago; resolves to whether there may be more. */
export async function forgetBulkJobs(client: ClientBase, days: number, rows: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `delete from bulk_jobs where id = any (array(select id from bulk_jobs
       where finished_at < now() - $1 * interval '1 day' order by finished_at limit $2 for update skip locked))`,
    [days, rows],
  );
  return rowCount === rows;
}
