/**
 * Bulk jobs are exact to the row: whatever changes deliveries meanwhile, and however many replicas step a job, each
 * delivery that matched is dealt with or skipped once, and no other is touched.
 */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/core/ids.ts";
import type { BulkAction } from "../../src/store/entities/bulk-job.ts";
import { changeBulkJob, countMatches, insertBulkJob } from "../../src/store/sql/bulk-jobs.ts";
import { stepBulkJob } from "../../src/store/sql/bulk-step.ts";
import { cancelDelivery } from "../../src/store/sql/cancel.ts";
import type { DeliveryFilter } from "../../src/store/sql/delivery-scan.ts";
import { retryDelivery } from "../../src/store/sql/redeliver.ts";
import { idAt, insertWebhook, type TestWebhook } from "../store/history.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const LEASE_MS = 60_000;
const COUNT = 400;
const STEP = { rows: 7, backlogMax: 1_000_000, restMs: 1, leaseMs: LEASE_MS, newId };
let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

/** A webhook with failed and succeeded deliveries in turn; resolves to the ids of both. */
async function populate(count = COUNT): Promise<{ webhook: TestWebhook; failed: string[]; succeeded: string[] }> {
  const webhook = await insertWebhook(pool);
  const startMs = Date.now() - 60_000;
  const ids = Array.from({ length: 2 * count }, (_, n) => idAt(startMs + n));
  await pool.query(
    `insert into events (id, organization_id, webhook_id, source_event_id_reused, status, verified, scheme, synthetic,
       size, received_at, headers, body)
     select id, $2, $3, false, 'received', true, 'hub', false, 2, now(), '[]', '{}' from unnest($1::uuid[]) id`,
    [ids, webhook.organizationId, webhook.id],
  );
  await pool.query(
    `insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
     select id, $2, $3, $3, id, 'https://example.com/', case n % 2 when 1 then 'failed' else 'succeeded' end, now(), now()
     from unnest($1::uuid[]) with ordinality u (id, n)`,
    [ids, webhook.organizationId, webhook.id],
  );
  return {
    webhook,
    failed: ids.filter((_, n) => n % 2 === 0),
    succeeded: ids.filter((_, n) => n % 2 === 1),
  };
}

const failedOf = ({ id, organizationId }: TestWebhook): DeliveryFilter => ({
  ...{ organizationId, webhookId: id, statuses: ["failed"], type: null, errorCode: null, eventId: null },
  ...{ from: null, before: null },
});

async function createJob(filter: DeliveryFilter, action: BulkAction, ratePerSecond = 1_000_000): Promise<string> {
  const id = newId();
  const bounds = { matchesMax: 10_000, jobsMax: 100 };
  expect(await insertBulkJob(pool, { id, action, filter, ratePerSecond }, bounds)).toBeNull();
  return id;
}

async function readJob(id: string) {
  const { rows } = await pool.query("select state, matched, position, done, skipped from bulk_jobs where id = $1", [
    id,
  ]);
  const skipped = Object.values<number>(rows[0].skipped).reduce((sum, count) => sum + count, 0);
  return { ...rows[0], skipCount: skipped };
}

/** Steps whatever is due until nothing runs, as `replicas` replicas would. */
async function runAll(replicas: number, step = STEP): Promise<void> {
  const running = async () =>
    (await pool.query("select 1 from bulk_jobs where state = 'running' limit 1")).rowCount !== 0;
  const replica = async () => {
    while (await running()) await stepBulkJob(pool, step);
  };
  await Promise.all(Array.from({ length: replicas }, replica));
}

/** How often each delivery's event was replayed, by the delivery's id (which is that of its event). */
async function replays({ id }: TestWebhook): Promise<Map<string, number>> {
  const { rows } = await pool.query(
    "select event_id, count(*)::int as n from deliveries where webhook_id = $1 and id <> event_id group by 1",
    [id],
  );
  return new Map(rows.map((row) => [row.event_id, row.n]));
}

test("a replay on three replicas makes one delivery for each that matched", async () => {
  const { webhook, failed } = await populate();
  expect(await countMatches(pool, failedOf(webhook), 10_000)).toBe(COUNT);
  const id = await createJob(failedOf(webhook), "replay");
  await runAll(3);
  expect(await readJob(id)).toMatchObject({ state: "done", matched: COUNT, position: COUNT, done: COUNT, skipped: {} });
  const made = await replays(webhook);
  expect([...made.keys()].sort()).toEqual([...failed].sort());
  expect(new Set(made.values())).toEqual(new Set([1]));
  const { rows } = await pool.query("select distinct trigger, manual, held from delivery_queue where webhook_id = $1", [
    webhook.id,
  ]);
  expect(rows).toEqual([{ trigger: "bulk", manual: false, held: false }]);
});

test("retries and cancels by hand beside a retry in bulk: each delivery is queued once, and counted once", async () => {
  const { webhook, failed, succeeded } = await populate();
  const id = await createJob(failedOf(webhook), "retry");
  const outcomes: string[] = [];
  const byHand = async (ids: readonly string[]) => {
    for (const one of ids) {
      const refusal = await retryDelivery(pool, webhook.organizationId, one, LEASE_MS);
      if (refusal === null && Number.parseInt(one.slice(-1), 16) % 4 === 0) {
        outcomes.push((await cancelDelivery(pool, webhook.organizationId, one)) ?? "canceled");
      }
    }
  };
  await Promise.all([runAll(2), byHand(failed.toReversed()), byHand(succeeded.slice(0, 50))]);
  const job = await readJob(id);
  expect(job).toMatchObject({ state: "done", matched: COUNT, position: COUNT });
  expect(job.done + job.skipCount).toBe(COUNT);
  expect(Object.keys(job.skipped).every((reason) => ["changed", "under_way"].includes(reason))).toBe(true);
  expect(outcomes).toContain("canceled");
  const { rows } = await pool.query(
    `select d.status, q.delivery_id is not null as queued, count(*)::int as n from deliveries d
     left join delivery_queue q on q.delivery_id = d.id where d.webhook_id = $1 group by 1, 2`,
    [webhook.id],
  );
  // Whatever came first: what is pending is owed, what is canceled is not, and those never meant are as they were.
  for (const { status, queued } of rows) expect(queued).toBe(status === "pending");
  expect(rows.find(({ status }) => status === "succeeded").n).toBe(COUNT - 50);
  expect(rows.find(({ status }) => status === "failed")).toBeUndefined();
});

test("what comes to match later is not dealt with; what no longer matches is skipped", async () => {
  const { webhook, failed, succeeded } = await populate(10);
  const id = await createJob(failedOf(webhook), "replay", 1);
  await pool.query("update bulk_jobs set state = 'paused' where id = $1", [id]);
  await pool.query("update deliveries set status = 'failed' where id = any ($1::uuid[])", [succeeded]);
  await pool.query("update deliveries set status = 'succeeded' where id = any ($1::uuid[])", [failed.slice(0, 3)]);
  await pool.query("delete from deliveries where id = $1", [failed[3]]);
  await pool.query("delete from events where id = $1", [failed[4]]);
  await pool.query("update bulk_jobs set rate_per_second = 1000000 where id = $1", [id]);
  await changeBulkJob(pool, webhook.organizationId, id, "resume");
  await runAll(1);
  const skipped = { changed: 3, gone: 1, event_gone: 1 };
  expect(await readJob(id)).toMatchObject({ matched: 10, position: 10, done: 5, skipped });
  expect([...(await replays(webhook)).keys()].sort()).toEqual(failed.slice(5).sort());
});

test("a step that fails leaves nothing of itself, and is taken again", async () => {
  const { webhook, failed } = await populate(20);
  const id = await createJob(failedOf(webhook), "replay");
  let made = 0;
  const failing = () => {
    made += 1;
    // In the middle of the second step: no id at all.
    return made === 10 ? "none" : newId();
  };
  const first = await stepBulkJob(pool, { ...STEP, newId: failing });
  expect(first).toMatchObject({ done: 7, finished: false });
  await expect(stepBulkJob(pool, { ...STEP, newId: failing })).rejects.toThrow(/uuid/);
  expect(await readJob(id)).toMatchObject({ position: 7, done: 7 });
  expect((await replays(webhook)).size).toBe(7);
  await runAll(1);
  const after = await replays(webhook);
  expect([...after.keys()].sort()).toEqual([...failed].sort());
  expect(new Set(after.values())).toEqual(new Set([1]));
});

test("the rate holds for all replicas together, and a job that fell behind makes up for a second of it", async () => {
  const { webhook } = await populate(100);
  const id = await createJob(failedOf(webhook), "replay", 20);
  // Time passes by the row: it becomes due some milliseconds earlier.
  const pass = (ms: number) =>
    pool.query("update bulk_jobs set next_at = next_at - $2 * interval '1 millisecond' where id = $1", [id, ms]);
  const stepAll = async () => {
    let done = 0;
    for (let step = await stepBulkJob(pool, STEP); step !== null; step = await stepBulkJob(pool, STEP))
      done += step.done;
    return done;
  };
  const begun = await stepAll();
  expect(begun).toBeGreaterThanOrEqual(4);
  expect(begun).toBeLessThanOrEqual(8);
  let done = begun;
  for (let n = 0; n < 10; n++) {
    await pass(200);
    done += await stepAll();
  }
  // Two seconds at 20, and what the test itself has taken.
  expect(done).toBeGreaterThanOrEqual(40);
  expect(done).toBeLessThanOrEqual(60);
  await pass(3_600_000);
  expect(await stepAll()).toBeLessThanOrEqual(20 + 8);
  await changeBulkJob(pool, webhook.organizationId, id, "cancel");
});

test("a destination with a backlog is given no more until it has shrunk", async () => {
  const { webhook } = await populate(30);
  const id = await createJob(failedOf(webhook), "retry");
  const bounded = { ...STEP, backlogMax: 14, restMs: 3_600_000 };
  const steps = [await stepBulkJob(pool, bounded), await stepBulkJob(pool, bounded), await stepBulkJob(pool, bounded)];
  expect(steps.map((step) => step?.done)).toEqual([7, 7, 0]);
  expect(await stepBulkJob(pool, bounded)).toBeNull();
  await pool.query(
    "update delivery_queue set started_at = now(), lease_token = gen_random_uuid() where webhook_id = $1",
    [webhook.id],
  );
  await pool.query("update bulk_jobs set next_at = now() where id = $1", [id]);
  expect(await stepBulkJob(pool, bounded)).toMatchObject({ done: 7 });
  await changeBulkJob(pool, webhook.organizationId, id, "cancel");
});
