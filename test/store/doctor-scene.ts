/** What the tests of the doctor share: a store of their own, emptied before each test, and rows of every kind in it. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { LIMITS } from "../../src/config.ts";
import type { ExaminationOptions } from "../../src/store/doctor/examination.ts";
import { HISTORY } from "../../src/store/partitions.ts";
import { examineStore } from "../support/doctor.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { type DeliveryOptions, insertDelivery, insertEvent, insertWebhook, type TestWebhook } from "./history.ts";

/** Pages of three rows, so that every walk has several. */
const limits = { ...LIMITS, doctorBatchRows: 3, doctorOverdueMs: 60_000, doctorRecheckMs: 1 };
let database: TestDatabase;
export let pool: Pool;
export let webhook: TestWebhook;

/** Call it once at the top of a test file. */
export function useStore(): void {
  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool(database);
  });
  afterAll(async () => {
    await pool?.end();
    await database?.drop();
  });
  beforeEach(async () => {
    const tables = [
      "delivery_queue",
      "lanes",
      "bulk_jobs",
      "event_dedupe",
      "purges",
      "webhooks",
      ...HISTORY.map(({ table }) => table),
    ];
    for (const table of tables) await pool.query(`delete from ${table}`);
    webhook = await insertWebhook(pool);
  });
}

export const examineNow = (options: Partial<ExaminationOptions> = {}) => examineStore(pool, { limits, ...options });
export const rowsOf = async (text: string, values: unknown[] = []) => (await pool.query(text, values)).rows;
export const leaseToken = randomUUID();

/** A delivery of now and its event. */
export async function deliver(options: DeliveryOptions = {}): Promise<string> {
  const now = Date.now();
  return await insertDelivery(pool, webhook, await insertEvent(pool, webhook, now), now, options);
}

/** What must not be taken for a fault. */
const HEALTHY: readonly DeliveryOptions[] = [
  { status: "succeeded", attempts: 1 },
  { status: "failed", attempts: 3 },
  { status: "canceled" },
  { status: "pending", queued: {} },
  { status: "pending", attempts: 2, queued: { dueInMs: 3_600_000 } },
  { status: "paused", queued: {} },
  { status: "delivering", queued: { leaseToken, dueInMs: 30_000 } },
  { status: "delivering", attempts: 2, queued: { leaseToken, dueInMs: 30_000 } },
];

export async function insertHealthy(): Promise<void> {
  for (const options of HEALTHY) await deliver(options);
  const active = webhook;
  webhook = await insertWebhook(pool);
  await pool.query("update webhooks set status = 'paused' where id = $1", [webhook.id]);
  await deliver({ status: "paused", queued: { held: true, dueInMs: -3_600_000 } });
  webhook = active;
}

export const stateOf = (id: string) =>
  rowsOf(
    `select d.status, d.attempt_count as attempts, q.attempts as started, q.held, q.lease_token is not null as leased
     from deliveries d left join delivery_queue q on q.delivery_id = d.id where d.id = $1`,
    [id],
  );

export async function insertKey(eventId: string, { lose = false, hash = null as string | null } = {}): Promise<string> {
  await pool.query(
    `insert into event_dedupe (webhook_id, key, organization_id, event_id, body_hash, expires_at)
     values ($1, sha256($2::bytea), $3, $4, $5, now() + interval '1 h')`,
    [webhook.id, eventId, webhook.organizationId, eventId, hash],
  );
  if (lose) await pool.query("delete from events where id = $1", [eventId]);
  return eventId;
}
