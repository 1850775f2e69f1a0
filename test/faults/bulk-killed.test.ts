/** A process that is killed over and over in the middle of a bulk job: no row is left out, and none is dealt with twice. */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createJob, jobIn, readJob } from "../bulk/jobs.ts";
import { startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { killLeftovers, startServiceProcess } from "./service-process.ts";

const COUNT = 3_000;
const KILLS = 3;
const DEADLINE_MS = 60_000;
let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await killLeftovers();
  await pool?.end();
  await database?.drop();
});

/** Deliveries that have failed long ago, each of an event of its own with the same id. */
async function insertFailed(webhookId: string): Promise<void> {
  await pool.query(
    `with made as (
       select (to_char(extract(epoch from now() - interval '1 hour') * 1000 + n, 'FM999999999999999')::bigint) as ms, n
       from generate_series(1, $2::int) n
     ), ids as (
       select (lpad(to_hex(ms), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid as id
       from made
     ), events as (
       insert into events (id, organization_id, webhook_id, source_event_id_reused, status, verified, scheme, synthetic,
         size, received_at, headers, body)
       select ids.id, w.organization_id, w.id, false, 'received', true, 'hub', false, 2, now(), '[]', '{}'
       from ids cross join webhooks w where w.id = $1
     )
     insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
     select ids.id, w.organization_id, w.id, w.id, ids.id, w.url, 'failed', now(), now()
     from ids cross join webhooks w where w.id = $1`,
    [webhookId, COUNT],
  );
}

test("a bulk replay that is killed in its middle", { timeout: 2 * DEADLINE_MS }, async () => {
  const destination = await startDestination();
  const env = { DATABASE_URL: database.url, MASTER_KEY: TEST_MASTER_KEY, DELIVERY_LEASE_MS: "1000" };
  let service = await startServiceProcess(env);
  const { body: webhook } = await service.api.post("/webhooks", { name: "w", url: destination.url });
  await insertFailed(webhook.id);
  const filter = { webhookId: webhook.id, status: ["failed"] };
  const dry = await service.api.post("/webhooks/bulk-jobs", { action: "replay", filter, dryRun: true });
  expect(dry.body.matched).toBe(COUNT);
  const { id } = await createJob(service.api, { action: "replay", filter, ratePerSecond: 5_000 });
  for (let kill = 1; kill <= KILLS; kill++) {
    await eventually(
      `a part is done before kill ${kill}`,
      async () => (await readJob(service.api, id)).done >= (kill * COUNT) / (KILLS + 2),
      DEADLINE_MS,
    );
    service.signal("SIGKILL");
    await service.exited;
    service = await startServiceProcess(env);
    expect((await readJob(service.api, id)).state).toBe("running");
  }
  const job = await jobIn(service.api, id, "done", DEADLINE_MS);
  expect(job).toMatchObject({ matched: COUNT, done: COUNT, skipped: 0 });
  await eventually(
    "all replays are delivered",
    async () => {
      const { rows } = await pool.query(
        "select count(*)::int as n from deliveries where webhook_id = $1 and id <> event_id and status = 'succeeded'",
        [webhook.id],
      );
      return rows[0].n === COUNT;
    },
    DEADLINE_MS,
  );
  const { rows } = await pool.query(
    `select count(*)::int as made, count(distinct event_id)::int as events from deliveries
     where webhook_id = $1 and id <> event_id`,
    [webhook.id],
  );
  expect(rows).toEqual([{ made: COUNT, events: COUNT }]);
  const first = await pool.query(
    `select distinct a.trigger from attempts a join deliveries d on d.id = a.delivery_id
     where d.webhook_id = $1 and a.number = 1`,
    [webhook.id],
  );
  expect(first.rows).toEqual([{ trigger: "bulk" }]);
  service.signal("SIGTERM");
  await service.exited;
  await destination.close();
});
