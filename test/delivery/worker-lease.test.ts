/** The statements that claim, complete and give back, on a queue that no worker serves. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { NO_TIMES } from "../../src/outbound/request.ts";
import { claimDue } from "../../src/store/sql/claim.ts";
import { type CompletedAttempt, completeAttempts, type NextState } from "../../src/store/sql/complete.ts";
import { beginAttempt, extendLeases, giveBackLeases, shortenLeases } from "../../src/store/sql/lease.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const LEASE_MS = 60_000;
let database: TestDatabase;
let pool: Pool;
let organizationId: string;
let webhookId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
beforeEach(async () => {
  [organizationId, webhookId] = [randomUUID(), randomUUID()];
  await pool.query("delete from delivery_queue");
  await pool.query("insert into organizations (id, name) values ($1, 'o')", [organizationId]);
  await pool.query(
    `insert into webhooks (id, organization_id, name, url, source, events, status, created_at, updated_at)
     values ($1, $2, 'w', 'https://example.com/', 'custom', '{}', 'active', now(), now())`,
    [webhookId, organizationId],
  );
  await pool.query("insert into webhook_counters (webhook_id, organization_id) values ($1, $2)", [
    webhookId,
    organizationId,
  ]);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

const claim = (limit: number) =>
  claimDue(pool, { limit, leaseMs: LEASE_MS, stepsMax: 10, lostMax: 0, except: [], exceptOrganizations: [] });

/** A delivery that is due now, with `attempts` behind it. */
async function owe(attempts = 0): Promise<string> {
  const id = randomUUID();
  await pool.query(
    `insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, attempt_count,
       created_at, updated_at)
     values ($1, $2, $3, $3, $4, 'https://example.com/', 'pending', $5, now(), now())`,
    [id, organizationId, webhookId, randomUUID(), attempts],
  );
  await pool.query(
    `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts,
       step)
     select id, organization_id, webhook_id, destination_id, event_id, now(), $2, $2 from deliveries where id = $1`,
    [id, attempts],
  );
  return id;
}

function attemptOf(
  held: { deliveryId: string; leaseToken: string; number: number },
  next: NextState,
): CompletedAttempt {
  return {
    ...{ deliveryId: held.deliveryId, leaseToken: held.leaseToken, number: held.number },
    ...{ organizationId, webhookId, trigger: "scheduled", laned: false, succeeded: next.kind === "succeeded" },
    ...{ url: "https://example.com/", startedAtMs: Date.now(), durationMs: 5, times: NO_TIMES, statusCode: 200 },
    ...{ errorCode: null, errorMessage: null, senderVersion: null, credentialHeaders: null, responseHeaders: [], next },
    ...{ responseBody: Buffer.from("ok"), responseTruncated: false, remoteAddress: null },
  };
}

async function claimOne() {
  const { claimed } = await claim(1);
  if (!claimed[0]) throw new Error("nothing was claimed");
  return claimed[0];
}

const rowsOf = async (table: "attempts" | "delivery_queue", deliveryId: string) =>
  (await pool.query(`select * from ${table} where delivery_id = $1 order by 1`, [deliveryId])).rows;

const endLease = async (deliveryId: string) =>
  await pool.query("update delivery_queue set due_at = now() where delivery_id = $1", [deliveryId]);

test("a claim takes no more than its limit, and what is leased is not claimed again", async () => {
  for (let n = 0; n < 5; n++) await owe();
  const [a, b, c] = await Promise.all([claim(2), claim(2), claim(2)]);
  const ids = [a, b, c].flatMap(({ claimed }) => claimed.map((job) => job.deliveryId));
  expect(new Set(ids).size).toBe(ids.length);
  expect([a, b, c].every(({ claimed }) => claimed.length <= 2)).toBe(true);
  const { claimed: rest } = await claim(100);
  expect(ids.length + rest.length).toBe(5);
  expect((await claim(100)).claimed).toEqual([]);
});

test.each<NextState>([
  { kind: "succeeded" },
  { kind: "failed" },
  { kind: "retry", delayMs: 1_000 },
  { kind: "quick", delayMs: 1_000 },
])("an outcome is recorded once, however often it is submitted: $kind", async (next) => {
  const deliveryId = await owe();
  const attempt = attemptOf(await claimOne(), next);
  // The answer to the first commit may be lost with the connection; the worker then submits it again.
  expect(await completeAttempts(pool, [attempt], LEASE_MS)).toEqual([true]);
  const queued = await rowsOf("delivery_queue", deliveryId);
  expect(await completeAttempts(pool, [attempt], LEASE_MS)).toEqual([false]);
  expect(await rowsOf("attempts", deliveryId)).toHaveLength(1);
  expect(await rowsOf("delivery_queue", deliveryId)).toEqual(queued);
});

test("an outcome submitted again does not keep its neighbours from being recorded", async () => {
  await owe();
  const repeated = attemptOf(await claimOne(), { kind: "quick", delayMs: 1_000 });
  await completeAttempts(pool, [repeated], LEASE_MS);
  const neighbour = await owe();
  const other = attemptOf(await claimOne(), { kind: "succeeded" });
  expect(await completeAttempts(pool, [repeated, other], LEASE_MS)).toEqual([false, true]);
  expect(await rowsOf("delivery_queue", neighbour)).toEqual([]);
});

test("an outcome of an attempt does not stand for the next one", async () => {
  const deliveryId = await owe();
  const held = await claimOne();
  await completeAttempts(pool, [attemptOf(held, { kind: "quick", delayMs: 0 })], LEASE_MS);
  expect(await beginAttempt(pool, held, LEASE_MS)).toBe(true);
  expect(await completeAttempts(pool, [attemptOf(held, { kind: "succeeded" })], LEASE_MS)).toEqual([false]);
  const second = attemptOf({ ...held, number: 2 }, { kind: "succeeded" });
  expect(await completeAttempts(pool, [second], LEASE_MS)).toEqual([true]);
  expect((await rowsOf("attempts", deliveryId)).map((row) => row.number).sort()).toEqual([1, 2]);
});

test("whoever lost the lease cannot complete, extend, begin or give back", async () => {
  const deliveryId = await owe(3);
  const lost = await claimOne();
  await endLease(deliveryId);
  const taken = await claimOne();
  expect([lost.number, taken.number]).toEqual([4, 5]);
  const queued = await rowsOf("delivery_queue", deliveryId);
  expect(await completeAttempts(pool, [attemptOf(lost, { kind: "succeeded" })], LEASE_MS)).toEqual([false]);
  expect((await extendLeases(pool, [lost], LEASE_MS)).size).toBe(0);
  expect(await beginAttempt(pool, lost, LEASE_MS)).toBe(false);
  await giveBackLeases(pool, [lost], LEASE_MS);
  expect(await rowsOf("delivery_queue", deliveryId)).toEqual(queued);
  expect(await completeAttempts(pool, [attemptOf(taken, { kind: "succeeded" })], LEASE_MS)).toEqual([true]);
  const attempts = await rowsOf("attempts", deliveryId);
  expect(attempts.map((row) => [row.number, row.status])).toEqual([
    [4, "interrupted"],
    [5, "succeeded"],
  ]);
});

test("a lease given back before anything was sent leaves no attempt and no gap", async () => {
  const deliveryId = await owe(2);
  const held = await claimOne();
  await giveBackLeases(pool, [held], LEASE_MS);
  expect(await claimOne()).toMatchObject({ deliveryId, number: held.number, step: held.step });
  expect(await rowsOf("attempts", deliveryId)).toEqual([]);
});

test("a worker that dies between two attempts leaves none behind as interrupted", async () => {
  const deliveryId = await owe();
  const held = await claimOne();
  await completeAttempts(pool, [attemptOf(held, { kind: "quick", delayMs: 0 })], LEASE_MS);
  await endLease(deliveryId);
  expect(await claimOne()).toMatchObject({ number: 2, step: 2 });
  expect(await rowsOf("attempts", deliveryId)).toHaveLength(1);
});

test("leases from before the database's clock was set back end soon; others, and what is only scheduled, stay", async () => {
  const [ahead, usual, quick, scheduled] = [await owe(), await owe(), await owe(), await owe()];
  const dueIn = (id: string, ms: number, leased: boolean) =>
    pool.query(
      `update delivery_queue set due_at = now() + $2 * interval '1 millisecond',
         lease_token = case when $3 then gen_random_uuid() end where delivery_id = $1`,
      [id, ms, leased],
    );
  await dueIn(ahead, 86_400_000, true);
  await dueIn(usual, LEASE_MS, true);
  await dueIn(quick, 2 * LEASE_MS, true);
  await dueIn(scheduled, 86_400_000, false);
  const before = await Promise.all([usual, quick, scheduled].map((id) => rowsOf("delivery_queue", id)));
  await shortenLeases(pool, LEASE_MS);
  expect(await Promise.all([usual, quick, scheduled].map((id) => rowsOf("delivery_queue", id)))).toEqual(before);
  const { rows } = await pool.query(
    "select due_at <= now() + $2 * interval '1 millisecond' as soon from delivery_queue where delivery_id = $1",
    [ahead, LEASE_MS],
  );
  expect(rows).toEqual([{ soon: true }]);
});

test("a delivery past its schedule that workers keep dying over has failed in the end", async () => {
  const id = await owe(10);
  const lose = () =>
    pool.query(
      `update delivery_queue set due_at = now(), started_at = now(), lease_token = gen_random_uuid()
       where delivery_id = $1`,
      [id],
    );
  await pool.query("update delivery_queue set step = 9 where delivery_id = $1", [id]);
  await lose();
  expect((await claim(1)).claimed).toMatchObject([{ deliveryId: id, step: 10 }]);
  await lose();
  const lost = [{ deliveryId: id, number: 11, trigger: "scheduled", isLast: true, durationMs: expect.any(Number) }];
  expect(await claim(1)).toMatchObject({ found: 1, claimed: [], lost, blocked: [] });
  const { rows } = await pool.query(
    "select status, attempt_count, completed_at is not null as ended from deliveries where id = $1",
    [id],
  );
  expect(rows).toEqual([{ status: "failed", attempt_count: 11, ended: true }]);
  const { rows: queued } = await pool.query("select 1 from delivery_queue where delivery_id = $1", [id]);
  expect(queued).toEqual([]);
});
