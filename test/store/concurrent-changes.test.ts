/**
 * Statements that find a row changed since they began: PostgreSQL looks at its newest version, with the whole plan
 * prepared anew. That must leave the partitions of what follows alone (`partitions.ts`).
 */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { newId } from "../../src/core/ids.ts";
import { NO_TIMES } from "../../src/outbound/request.ts";
import { type ClaimedDelivery, claimDue } from "../../src/store/sql/claim.ts";
import { type CompletedAttempt, completeAttempts, type NextState } from "../../src/store/sql/complete.ts";
import { expireDeliveries } from "../../src/store/sql/expire.ts";
import { settleBlocked } from "../../src/store/sql/hold.ts";
import { beginAttempt, giveBackLeases } from "../../src/store/sql/lease.ts";
import { eventually } from "../support/eventually.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const LEASE_MS = 60_000;
const ROWS = 60;
/** How often each meeting takes place: what it would spoil is not always looked at the first time. */
const TIMES = 20;
const URL = "https://example.com/";
let database: TestDatabase;
let pool: Pool;
const organizationId = randomUUID();

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  await pool.query("insert into organizations (id, name) values ($1, 'o')", [organizationId]);
  // Whoever ends a delivery notes it.
  await pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, created_at, updated_at)
     values (gen_random_uuid(), $1, 'operations', 'system', '{}', 'active', now(), now())`,
    [organizationId],
  );
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

/** Deliveries of a new webhook, in today's partition, claimed. */
async function claimed(): Promise<{ webhookId: string; held: ClaimedDelivery[] }> {
  const [webhookId, ids] = [randomUUID(), Array.from({ length: ROWS }, newId)];
  await pool.query(
    `insert into webhooks (id, organization_id, name, url, source, events, status, created_at, updated_at)
     values ($1, $2, 'w', $3, 'custom', '{}', 'active', now(), now())`,
    [webhookId, organizationId, URL],
  );
  await pool.query("insert into webhook_counters (webhook_id, organization_id) values ($1, $2)", [
    webhookId,
    organizationId,
  ]);
  await pool.query(
    `with owed as (
       insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
       select id, $2, $3, $3, id, $4, 'pending', now(), now() from unnest($1::uuid[]) id returning *)
     insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at)
     select id, organization_id, webhook_id, destination_id, event_id, now() from owed`,
    [ids, organizationId, webhookId, URL],
  );
  const claim = await claimDue(pool, {
    limit: ROWS,
    leaseMs: LEASE_MS,
    stepsMax: 10,
    lostMax: 0,
    except: [],
    exceptOrganizations: [],
  });
  expect(claim.claimed).toHaveLength(ROWS);
  return { webhookId, held: claim.claimed };
}

/** Runs `statement`, which meets rows that `change` has changed and commits only when the statement waits for them. */
async function meeting<Result>(change: string, webhookId: string, statement: () => Promise<Result>): Promise<Result> {
  const other = await pool.connect();
  try {
    await other.query("begin");
    await other.query(change, [webhookId]);
    const running = statement();
    running.catch(() => {});
    await eventually("the statement waits", async () => {
      const { rows } = await pool.query<{ waits: boolean }>(
        "select exists (select 1 from pg_stat_activity where datname = $1 and wait_event_type = 'Lock') as waits",
        [database.name],
      );
      return rows[0]?.waits;
    });
    await other.query("commit");
    return await running;
  } finally {
    other.release();
  }
}

async function statusesOf(webhookId: string): Promise<string[]> {
  const { rows } = await pool.query<{ status: string }>(
    "select distinct status from deliveries where webhook_id = $1",
    [webhookId],
  );
  return rows.map((row) => row.status);
}

const HEARTBEAT = "update delivery_queue set due_at = due_at + interval '1 second' where webhook_id = $1";

const COUNTING = "update webhook_counters set delivery_count = delivery_count + 1 where webhook_id = $1";

/** Outcomes of these attempts, the nth as `next` says. */
const outcomes = (webhookId: string, held: readonly ClaimedDelivery[], next: (n: number) => NextState) =>
  held.map(
    ({ deliveryId, leaseToken, number }, n): CompletedAttempt => ({
      ...{ deliveryId, leaseToken, number, organizationId, webhookId, url: URL },
      ...{
        trigger: "scheduled",
        laned: false,
        succeeded: false,
        startedAtMs: Date.now(),
        durationMs: 1,
        times: NO_TIMES,
      },
      ...{ statusCode: 500, errorCode: "http_status", errorMessage: "", senderVersion: null, remoteAddress: null },
      ...{ credentialHeaders: null, responseHeaders: [] },
      ...{ responseBody: Buffer.from("no"), responseTruncated: false, next: next(n) },
    }),
  );

test("outcomes are recorded while a heartbeat extends their leases", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  const attempts = outcomes(webhookId, held, () => ({ kind: "succeeded" }));
  const recorded = await meeting(HEARTBEAT, webhookId, () => completeAttempts(pool, attempts, LEASE_MS));
  expect(recorded).toEqual(held.map(() => true));
  expect(await statusesOf(webhookId)).toEqual(["succeeded"]);
});

test("outcomes of several kinds are recorded while a heartbeat extends their leases", {
  repeats: TIMES - 1,
}, async () => {
  const { webhookId, held } = await claimed();
  const attempts = outcomes(webhookId, held, (n) => (n % 2 ? { kind: "retry", delayMs: 60_000 } : { kind: "failed" }));
  const recorded = await meeting(HEARTBEAT, webhookId, () => completeAttempts(pool, attempts, LEASE_MS));
  expect(recorded).toEqual(held.map(() => true));
  expect((await statusesOf(webhookId)).sort()).toEqual(["failed", "pending"]);
  await pool.query("delete from delivery_queue where webhook_id = $1", [webhookId]);
});

test("outcomes are recorded while others of the same webhook are counted", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  const attempts = outcomes(webhookId, held, () => ({ kind: "failed" }));
  const recorded = await meeting(COUNTING, webhookId, () => completeAttempts(pool, attempts, LEASE_MS));
  expect(recorded).toEqual(held.map(() => true));
  expect(await statusesOf(webhookId)).toEqual(["failed"]);
  const { rows } = await pool.query("select delivery_count::int as count from webhook_counters where webhook_id = $1", [
    webhookId,
  ]);
  expect(rows).toEqual([{ count: ROWS + 1 }]);
});

test("lost attempts are taken over while others of the same webhook are counted", { repeats: TIMES - 1 }, async () => {
  const { webhookId } = await claimed();
  await pool.query("update delivery_queue set due_at = now() where webhook_id = $1", [webhookId]);
  const options = { limit: ROWS, leaseMs: LEASE_MS, stepsMax: 10, lostMax: 0, except: [], exceptOrganizations: [] };
  const taken = await meeting(COUNTING, webhookId, () => claimDue(pool, options));
  expect(taken.claimed.map(({ number }) => number)).toEqual(Array.from({ length: ROWS }, () => 2));
  expect(await statusesOf(webhookId)).toEqual(["delivering"]);
  await giveBackLeases(pool, taken.claimed, LEASE_MS);
  await pool.query("delete from delivery_queue where webhook_id = $1", [webhookId]);
});

test("leases are given back while a heartbeat extends them", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  await meeting(HEARTBEAT, webhookId, () => giveBackLeases(pool, held, LEASE_MS));
  expect(await statusesOf(webhookId)).toEqual(["pending"]);
  await pool.query("delete from delivery_queue where webhook_id = $1", [webhookId]);
});

test("an attempt begins while a heartbeat extends its lease", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  const [first] = held;
  if (!first) throw new Error("nothing was claimed");
  expect(await meeting(HEARTBEAT, webhookId, () => beginAttempt(pool, first, LEASE_MS))).toBe(true);
  await pool.query("delete from delivery_queue where webhook_id = $1", [webhookId]);
});

test("deliveries that are blocked are settled while their webhook changes", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  await giveBackLeases(pool, held, LEASE_MS);
  const ids = held.map(({ deliveryId }) => deliveryId);
  await meeting("update webhooks set url = null where id = $1", webhookId, () => settleBlocked(pool, ids));
  expect(await statusesOf(webhookId)).toEqual(["canceled"]);
});

test("deliveries expire while others of the same webhook are counted", { repeats: TIMES - 1 }, async () => {
  const { webhookId, held } = await claimed();
  await giveBackLeases(pool, held, LEASE_MS);
  const ids = held.map(({ deliveryId }) => deliveryId);
  const client = await pool.connect();
  try {
    expect(await meeting(COUNTING, webhookId, () => expireDeliveries(client, ids, "too old"))).toBe(ROWS);
  } finally {
    client.release();
  }
  expect(await statusesOf(webhookId)).toEqual(["failed"]);
});
