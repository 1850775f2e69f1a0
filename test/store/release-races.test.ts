/** A release in the background beside changes of its webhook. */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { owedStatement, releaseStep } from "../../src/store/sql/hold.ts";
import { deleteWebhook } from "../../src/store/sql/purge.ts";
import { transaction } from "../../src/store/transaction.ts";
import { eventually } from "../support/eventually.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { insertDelivery, insertEvent, insertWebhook, type TestWebhook } from "./history.ts";

const LEASE_MS = 60_000;
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

/** A webhook that was resumed with one delivery still held. */
async function insertResumed(): Promise<TestWebhook> {
  const webhook = await insertWebhook(pool);
  const now = Date.now();
  const eventId = await insertEvent(pool, webhook, now);
  await insertDelivery(pool, webhook, eventId, now, { status: "paused", queued: { held: true } });
  await pool.query("insert into releases (webhook_id, organization_id) values ($1, $2)", [
    webhook.id,
    webhook.organizationId,
  ]);
  return webhook;
}

const waiting = async () => {
  const { rows } = await pool.query(
    "select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  );
  return rows[0].n as number;
};

test("a delete that comes between does not deadlock with the release, which finds nothing more to do", async () => {
  const { id, organizationId } = await insertResumed();
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query("select 1 from webhooks where id = $1 for update", [id]);
    const releasing = releaseStep(pool, 100);
    await eventually("the release waits for the webhook", async () => (await waiting()) === 1);
    expect(await deleteWebhook(client, organizationId, id)).toBe(true);
    await client.query("commit");
    expect(await releasing).toBe(true);
  } finally {
    client.release();
  }
  expect(await releaseStep(pool, 100)).toBe(false);
});

test("a resume while the release of an earlier one gives up is not forgotten", async () => {
  const { id } = await insertResumed();
  await pool.query("update webhooks set status = 'paused' where id = $1", [id]);
  const holder = await pool.connect();
  await holder.query("begin");
  await holder.query("select 1 from releases where webhook_id = $1 for update", [id]);
  const releasing = releaseStep(pool, 100);
  await eventually("the release waits for its note", async () => (await waiting()) === 1);
  let isResumed = false;
  const resuming = transaction(pool, async (client) => {
    await client.query("update webhooks set status = 'active' where id = $1", [id]);
    await client.query(owedStatement("release", "$1", LEASE_MS), [id]);
  }).then(() => {
    isResumed = true;
  });
  await eventually("the resume is done, or waits as well", async () => isResumed || (await waiting()) === 2);
  await holder.query("rollback");
  holder.release();
  await Promise.all([releasing, resuming]);
  while (await releaseStep(pool, 100));
  expect((await pool.query("select 1 from delivery_queue where held")).rowCount).toBe(0);
});

test("two replicas that release at once both go on until nothing is held", async () => {
  await insertResumed();
  await insertResumed();
  const release = async () => {
    while (await releaseStep(pool, 1));
  };
  await Promise.all([release(), release()]);
  expect((await pool.query("select 1 from delivery_queue where held")).rowCount).toBe(0);
  expect((await pool.query("select 1 from releases")).rowCount).toBe(0);
});
