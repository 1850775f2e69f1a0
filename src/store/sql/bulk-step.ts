/**
 * One step of a bulk job, in one transaction: the next ids of what matched are dealt with, and the job's position moves
 * on. So a process may die at any instant, and no row is left out or dealt with twice. Whoever steps a job holds its row;
 * `next_at` keeps its pace, whatever the number of replicas.
 *
 * Locks are taken in the order in which all writers take them: webhooks, queue rows, deliveries.
 */
import type { ClientBase, Pool } from "pg";
import type { BulkAction } from "../entities/bulk-job.ts";
import { transaction } from "../transaction.ts";
import { CHUNK_IDS, dropChunks, tellFinished } from "./bulk-jobs.ts";
import { cancelNow } from "./cancel.ts";
import { conditionsOf, type DeliveryFilter } from "./delivery-scan.ts";
import { DESTINATION, type Destination, lockQueued, type Replay, refusalOf, replayNow, retryNow } from "./redeliver.ts";
import { Parameters } from "./scan.ts";

export interface BulkStepOptions {
  /** Deliveries of one step. */
  readonly rows: number;
  /** Due deliveries of a destination that wait in the queue: with more, a job that would add to them waits. */
  readonly backlogMax: number;
  /** How long it then waits, milliseconds. */
  readonly restMs: number;
  readonly leaseMs: number;
  readonly newId: () => string;
}

export interface BulkStep {
  readonly jobId: string;
  /** Deliveries that were retried, replayed or canceled. */
  readonly done: number;
  readonly finished: boolean;
}

/** Why a delivery that matched was left as it is. */
export type SkipReason = "changed" | "gone" | "under_way" | "paused" | "stopped" | "no_url" | "event_gone";

interface Job {
  readonly id: string;
  readonly organization_id: string;
  readonly action: BulkAction;
  readonly filter: DeliveryFilter;
  readonly rate_per_second: number;
  readonly matched: number;
  readonly position: number;
  readonly skipped: Readonly<Record<string, number>>;
}

const JOB = `
select * from bulk_jobs where state = 'running' and next_at <= now() order by next_at limit 1 for update skip locked`;

/** Takes the next step of the job that has waited longest; null if none is due. */
export async function stepBulkJob(pool: Pool, options: BulkStepOptions): Promise<BulkStep | null> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<Job>(JOB);
    const job = rows[0];
    if (!job) return null;
    const ids = await nextIds(client, job, options.rows);
    const result = await deal(client, job, ids, options);
    if (result === "crowded") {
      await client.query("update bulk_jobs set next_at = now() + $2 * interval '1 millisecond' where id = $1", [
        job.id,
        options.restMs,
      ]);
      return { jobId: job.id, done: 0, finished: false };
    }
    const finished = ids.length === 0 || job.position + ids.length >= job.matched;
    await advance(client, job, { count: ids.length, finished, ...result });
    return { jobId: job.id, done: result.done, finished };
  });
}

/** Milliseconds until a job's next step is due; null if none is running. */
export async function untilNextStep(pool: Pool): Promise<number | null> {
  const { rows } = await pool.query<{ ms: string | null }>(
    "select extract(epoch from min(next_at) - now()) * 1000 as ms from bulk_jobs where state = 'running'",
  );
  const ms = rows[0]?.ms;
  return ms === null || ms === undefined ? null : Number(ms);
}

/** The ids that follow the position: as many as are due in a fifth of a second, and none of the next chunk. */
async function nextIds(client: ClientBase, job: Job, rowsMax: number): Promise<readonly string[]> {
  const count = Math.min(Math.max(Math.ceil(job.rate_per_second / 5), 1), rowsMax);
  const at = job.position % CHUNK_IDS;
  const { rows } = await client.query<{ ids: string[] }>(
    "select ids[$3 + 1 : $3 + $4] as ids from bulk_job_chunks where job_id = $1 and number = $2",
    [job.id, Math.floor(job.position / CHUNK_IDS), at, count],
  );
  return rows[0]?.ids ?? [];
}

interface Dealt {
  readonly done: number;
  readonly skips: Readonly<Partial<Record<SkipReason, number>>>;
}

interface Matched {
  readonly id: string;
  readonly event_id: string;
  readonly webhook_id: string;
  readonly matches: boolean;
}

/** Does to the deliveries what the job is for; "crowded": not now, as too much waits for their destinations. */
async function deal(
  client: ClientBase,
  job: Job,
  ids: readonly string[],
  options: BulkStepOptions,
): Promise<Dealt | "crowded"> {
  const destinations = await lockDestinations(client, job.organization_id, ids);
  if (job.action !== "cancel" && (await isCrowded(client, destinations, options.backlogMax))) return "crowded";
  const queued = await lockQueued(client, ids);
  const found = await findMatched(client, job.filter, ids);
  const skips: Partial<Record<SkipReason, number>> = {};
  const skip = (reason: SkipReason) => {
    skips[reason] = (skips[reason] ?? 0) + 1;
  };
  const chosen: Chosen[] = [];
  for (const id of ids) {
    const delivery = found.get(id);
    const destination = delivery && destinations.get(delivery.webhook_id);
    const reason = reasonToSkip(job.action, delivery, destination, queued.get(id) === true);
    if (reason === null && delivery && destination) chosen.push({ id, eventId: delivery.event_id, destination });
    else skip(reason ?? "gone");
  }
  const dealt = await ACTIONS[job.action](client, job.organization_id, chosen, options);
  // What was locked stays as it was; only an event may be gone, or a retry have come before.
  for (const { id } of chosen) if (!dealt.has(id)) skip(job.action === "replay" ? "event_gone" : "under_way");
  return { done: dealt.size, skips };
}

function reasonToSkip(
  action: BulkAction,
  delivery: Matched | undefined,
  destination: Destination | undefined,
  underWay: boolean,
): SkipReason | null {
  if (!delivery || !destination) return "gone";
  if (underWay && action !== "replay") return "under_way";
  if (!delivery.matches) return "changed";
  if (action === "replay") return destination.url === null ? "no_url" : null;
  return action === "retry" ? refusalOf(destination) : null;
}

interface Chosen {
  readonly id: string;
  readonly eventId: string;
  readonly destination: Destination;
}

type Action = (
  client: ClientBase,
  organizationId: string,
  chosen: readonly Chosen[],
  options: BulkStepOptions,
) => Promise<Set<string>>;

const ACTIONS: Readonly<Record<BulkAction, Action>> = {
  retry: (client, _organizationId, chosen, { leaseMs }) =>
    retryNow(
      client,
      chosen.map(({ id }) => id),
      { trigger: "bulk", leaseMs },
    ),
  cancel: (client, _organizationId, chosen) =>
    cancelNow(
      client,
      chosen.map(({ id }) => id),
    ),
  replay: async (client, organizationId, chosen, { newId }) => {
    const replays = chosen.map(({ eventId, destination }): Replay => {
      return { id: newId(), eventId, url: destination.url ?? "", held: destination.paused || destination.stopped };
    });
    const made = await replayNow(client, organizationId, replays, "bulk");
    return new Set(chosen.filter((_, n) => made.has(replays[n]?.id ?? "")).map(({ id }) => id));
  },
};

async function lockDestinations(client: ClientBase, organizationId: string, ids: readonly string[]) {
  const { rows } = await client.query<Destination>(
    `select ${DESTINATION} from webhooks w where w.organization_id = $1
       and w.id = any (array(select webhook_id from deliveries where id = any ($2::uuid[]) and organization_id = $1))
     order by w.id for share of w`,
    [organizationId, ids],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Whether a destination that takes deliveries has as many due ones waiting as it may. */
async function isCrowded(client: ClientBase, destinations: ReadonlyMap<string, Destination>, backlogMax: number) {
  const open = [...destinations.values()].filter((destination) => refusalOf(destination) === null);
  if (open.length === 0) return false;
  const { rowCount } = await client.query(
    `select from unnest($1::uuid[]) d (id) cross join lateral (
       select count(*) as n from (select from delivery_queue q
         where q.destination_id = d.id and q.started_at is null and not q.held and q.due_at <= now() limit $2) w) waiting
     where n >= $2 limit 1`,
    [open.map(({ id }) => id), backlogMax],
  );
  return rowCount === 1;
}

// Locked by themselves, because a statement that locks must not look into other partitions: see partitions.ts.
async function findMatched(client: ClientBase, filter: DeliveryFilter, ids: readonly string[]) {
  await client.query("select 1 from deliveries where id = any ($1::uuid[]) order by id for key share", [ids]);
  const parameters = new Parameters();
  const wanted = parameters.add(ids);
  const { rows } = await client.query<Matched>(
    `select c.id, c.event_id, c.webhook_id, ${conditionsOf(filter, parameters).join(" and ")} as matches
     from deliveries c where c.id = any (${wanted}::uuid[]) and c.organization_id = ${parameters.add(filter.organizationId)}`,
    parameters.values,
  );
  return new Map(rows.map((row) => [row.id, row]));
}

// A job that fell behind makes up for one second of it at most.
const ADVANCE = `
update bulk_jobs set position = position + $2, done = done + $3, skipped = $4, updated_at = now(),
  next_at = greatest(next_at, now() - interval '1 second') + $2 * interval '1 second' / rate_per_second,
  state = case when $5 then 'done' else state end, finished_at = case when $5 then now() end
where id = $1`;

async function advance(
  client: ClientBase,
  job: Job,
  step: Dealt & { count: number; finished: boolean },
): Promise<void> {
  const skipped: Record<string, number> = { ...job.skipped };
  for (const [reason, count] of Object.entries(step.skips)) skipped[reason] = (skipped[reason] ?? 0) + count;
  await client.query(ADVANCE, [job.id, step.count, step.done, skipped, step.finished]);
  if (!step.finished) return;
  await dropChunks(client, job.id);
  await tellFinished(client, job.id);
}
