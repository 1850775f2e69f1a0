/** How long history is kept: what is owed expires visibly, then partitions go, whoever reads or writes meanwhile. */
import { randomUUID } from "node:crypto";
import { Client, type Pool } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { ensurePartitions, HISTORY, listPartitions } from "../../src/store/partitions.ts";
import { type Retired, retire } from "../../src/store/retention.ts";
import { takeTurn } from "../../src/store/turn.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { DAY_MS, insertDelivery, insertEvent, insertTrace, insertWebhook, type TestWebhook } from "./history.ts";

const RETENTION_DAYS = 10;
const NOTHING: Retired = { expired: 0, dropped: [], trimmed: 0 };
const now = Date.now();
const ago = (days: number) => now - days * DAY_MS;
const nameAt = (table: string, ms: number) =>
  `${table}_p${new Date(ms).toISOString().slice(0, 10).replaceAll("-", "")}`;

let database: TestDatabase;
let pool: Pool;
let client: Client;
let webhook: TestWebhook;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  client = new Client({ connectionString: database.url });
  await client.connect();
});
afterAll(async () => {
  await client?.end();
  await pool?.end();
  await database?.drop();
});
beforeEach(async () => {
  for (const { table } of HISTORY) await pool.query(`delete from ${table}`);
  await pool.query("delete from delivery_queue");
  webhook = await insertWebhook(pool);
  // Partitions of 14 to 9 days ago.
  await ensurePartitions(client, ago(13), { daysAhead: 4, widthDays: 1 });
});

const turn = (options: { nowMs?: number; rows?: number } = {}) =>
  retire(client, {
    retentionDays: RETENTION_DAYS,
    rows: 1_000,
    nowMs: now,
    signal: new AbortController().signal,
    ...options,
  });
const names = async (table: string) => (await listPartitions(client, table)).map(({ name }) => name);
const rowsOf = async (text: string, values: unknown[] = []) => (await pool.query(text, values)).rows;
const deliveryOf = async (id: string) => (await rowsOf("select * from deliveries where id = $1", [id]))[0];
const exists = async (table: string, id: string) =>
  (await rowsOf(`select 1 from ${table} where ${table === "delivery_attempts" ? "delivery_id" : "id"} = $1`, [id]))
    .length > 0;

test("partitions go a day after their last row has reached its age, the rest stays", async () => {
  const old = await insertEvent(pool, webhook, ago(12.5));
  const oldDelivery = await insertDelivery(pool, webhook, old, ago(12.5), { attempts: 2 });
  const young = await insertEvent(pool, webhook, ago(9.5));
  const youngDelivery = await insertDelivery(pool, webhook, young, ago(9.5), { attempts: 1 });

  const { dropped, expired, trimmed } = await turn();
  expect({ expired, trimmed }).toEqual({ expired: 0, trimmed: 0 });
  for (const { table } of HISTORY) {
    expect(dropped).toContain(nameAt(table, ago(12.5)));
    expect(dropped).not.toContain(nameAt(table, ago(11)));
    expect(await names(table)).not.toContain(nameAt(table, ago(12.5)));
    expect(await names(table)).toContain(nameAt(table, ago(11)));
  }
  expect(await exists("events", old)).toBe(false);
  expect(await exists("deliveries", oldDelivery)).toBe(false);
  expect(await exists("delivery_attempts", oldDelivery)).toBe(false);
  expect(await exists("events", young)).toBe(true);
  expect(await exists("deliveries", youngDelivery)).toBe(true);
  expect(await exists("delivery_attempts", youngDelivery)).toBe(true);
  expect(await turn()).toEqual(NOTHING);
});

test("what is still owed has failed a day before its history goes, and says why", async () => {
  const event = await insertEvent(pool, webhook, ago(10.5));
  const waiting = await insertDelivery(pool, webhook, event, ago(10.5), { status: "pending", attempts: 2, queued: {} });
  const held = await insertDelivery(pool, webhook, event, ago(10.5), { status: "paused", queued: { held: true } });
  const replayed = await insertDelivery(pool, webhook, event, ago(1), { status: "pending", queued: {} });
  const recent = await insertEvent(pool, webhook, ago(9.9));
  const kept = await insertDelivery(pool, webhook, recent, ago(9.9), { status: "paused", queued: { held: true } });

  expect((await turn()).expired).toBe(3);
  for (const [id, attempts] of [
    [waiting, 3],
    [held, 1],
    [replayed, 1],
  ] as const) {
    expect(await deliveryOf(id)).toMatchObject({ status: "failed", attempt_count: attempts, next_attempt_at: null });
    expect((await deliveryOf(id)).completed_at).not.toBeNull();
    const recorded = await rowsOf("select * from delivery_attempts where delivery_id = $1 order by number", [id]);
    expect(recorded.map(({ number }) => number)).toEqual(Array.from({ length: attempts }, (_, n) => n + 1));
    expect(recorded.at(-1)).toMatchObject({
      status: "failed",
      error_code: "expired",
      error_message: "still owed when RETENTION_DAYS had passed; nothing was sent",
    });
  }
  expect(await deliveryOf(kept)).toMatchObject({ status: "paused", attempt_count: 0 });
  expect(await rowsOf("select delivery_id from delivery_queue")).toEqual([{ delivery_id: kept }]);
  const [counters] = await rowsOf("select delivery_count::int from webhook_counters where webhook_id = $1", [
    webhook.id,
  ]);
  expect(counters).toEqual({ delivery_count: 3 });
  expect((await turn()).expired).toBe(0);
});

test("what a worker holds is left to it, and its partition with it", async () => {
  const event = await insertEvent(pool, webhook, ago(12.5));
  const leased = await insertDelivery(pool, webhook, event, ago(12.5), {
    status: "delivering",
    queued: { leaseToken: randomUUID() },
  });
  const { expired, dropped } = await turn();
  expect(expired).toBe(0);
  expect(dropped).not.toContain(nameAt("deliveries", ago(12.5)));
  expect(dropped).not.toContain(nameAt("delivery_attempts", ago(12.5)));
  expect(await deliveryOf(leased)).toMatchObject({ status: "delivering" });

  await pool.query("update delivery_queue set lease_token = null, started_at = null, attempts = 0");
  const next = await turn();
  expect(next.expired).toBe(1);
  expect(next.dropped).toContain(nameAt("delivery_attempts", ago(12.5)));
});

test("a long backlog expires in steps", async () => {
  const event = await insertEvent(pool, webhook, ago(10.5));
  for (let n = 0; n < 25; n++) {
    await insertDelivery(pool, webhook, event, ago(n % 2 ? 10.5 : 1), { status: "pending", queued: {} });
  }
  expect((await turn({ rows: 4 })).expired).toBe(25);
  expect(await rowsOf("select 1 from delivery_queue")).toEqual([]);
});

test("old rows of a default partition go in steps; those that are owed, and their attempts, do not", async () => {
  const old = ago(20);
  for (let n = 0; n < 7; n++) await insertEvent(pool, webhook, old);
  const event = await insertEvent(pool, webhook, old);
  const finished = await insertDelivery(pool, webhook, event, old, { status: "failed", attempts: 2 });
  const leased = await insertDelivery(pool, webhook, event, old, {
    status: "delivering",
    attempts: 1,
    queued: { leaseToken: randomUUID() },
  });
  const young = await insertEvent(pool, webhook, ago(10.5));
  expect((await turn({ rows: 3 })).trimmed).toBe(8 + 1 + 2);
  expect(await exists("deliveries", finished)).toBe(false);
  expect(await exists("delivery_attempts", finished)).toBe(false);
  expect(await exists("deliveries", leased)).toBe(true);
  expect(await exists("delivery_attempts", leased)).toBe(true);
  expect(await exists("events", young)).toBe(true);
});

test("traces of refused receives go when they are as old, in batches", async () => {
  for (let n = 0; n < 5; n++) await insertTrace(pool, webhook, ago(10.1) + n);
  const young = await insertTrace(pool, webhook, ago(9.9));
  await turn({ rows: 2 });
  expect(await rowsOf("select id from receive_traces")).toEqual([{ id: young }]);
});

test("a clock that runs ahead costs no history", async () => {
  const event = await insertEvent(pool, webhook, ago(9));
  expect(await turn({ nowMs: now + 365 * DAY_MS })).toMatchObject({ expired: 0 });
  expect(await exists("events", event)).toBe(true);
});

test("a partition that is in use is left for the next turn, and nobody waits for long", async () => {
  const event = await insertEvent(pool, webhook, ago(12.5));
  const reader = await pool.connect();
  try {
    await reader.query("begin");
    await reader.query("select 1 from events where id = $1", [event]);
    const retiring = turn();
    const recent = await insertEvent(pool, webhook, ago(9.5));
    expect(await exists("events", recent)).toBe(true);
    // Deliveries and attempts wait for the events.
    expect((await retiring).dropped).toEqual([]);
    expect((await reader.query("select 1 from events where id = $1", [event])).rowCount).toBe(1);
  } finally {
    await reader.query("rollback");
    reader.release();
  }
  expect((await turn()).dropped).toContain(nameAt("events", ago(12.5)));
});

test("one process at a time has the turn, and a lost connection gives it up", async () => {
  let inside = 0;
  const result = await takeTurn(pool, "retention", async (holder) => {
    inside += 1;
    expect(await takeTurn(pool, "retention", async () => "second")).toBeUndefined();
    expect(await takeTurn(pool, "doctor", async () => "another kind")).toBe("another kind");
    const { rows } = await holder.query<{ pid: number }>("select pg_backend_pid() as pid");
    await pool.query("select pg_terminate_backend($1, 10000)", [rows[0]?.pid]);
    return "unheard";
  }).catch((error: Error) => error.message);
  expect(inside).toBe(1);
  expect(result).toMatch(/terminat|connection error/i);
  expect(await takeTurn(pool, "retention", async () => "next")).toBe("next");
});
