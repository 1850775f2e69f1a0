/** Which traces of refused receives are kept, and what becomes of those that have to go. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { newId } from "../../src/core/ids.ts";
import { insertTraces, type TraceRow } from "../../src/store/sql/traces.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const SLOTS = { perCheck: 4, perClient: 2 };
let database: TestDatabase;
let pool: Pool;
let organizationId: string;
let webhookId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});
beforeEach(async () => {
  organizationId = randomUUID();
  await pool.query("insert into organizations (id, name) values ($1, 'o')", [organizationId]);
  webhookId = await insertWebhook();
});

async function insertWebhook(): Promise<string> {
  const id = newId();
  await pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, created_at, updated_at)
     values ($1, $2, 'w', 'custom', '{}', 'active', now(), now())`,
    [id, organizationId],
  );
  return id;
}

const trace = (reason: string, client: string, change: Partial<TraceRow> = {}): TraceRow => ({
  id: newId(),
  organizationId,
  webhookId,
  check: "signature",
  client,
  receivedAtMs: Date.now(),
  statusCode: 401,
  reason,
  method: "POST",
  remoteAddress: client,
  headers: [["a", "b"]],
  body: Buffer.from("\0\xff", "latin1"),
  bodyTruncated: false,
  size: 2,
  further: 0,
  ...change,
});

const insert = (...rows: TraceRow[]) => insertTraces(pool, rows, SLOTS);

/** Reasons of what is kept, oldest first, and how many requests all of it stands for. */
async function kept(id = webhookId): Promise<{ reasons: string[]; requests: number }> {
  const { rows } = await pool.query<{ reason: string; further: string }>(
    "select reason, further from receive_traces where webhook_id = $1 order by check_name, id",
    [id],
  );
  return {
    reasons: rows.map((row) => row.reason),
    requests: rows.reduce((sum, { further }) => sum + 1 + Number(further), 0),
  };
}

const cases: [name: string, clients: string[], reasons: string[]][] = [
  ["as many as there are slots", ["a", "b", "c", "d"], ["0", "1", "2", "3"]],
  ["one more takes the place of the oldest", ["a", "b", "c", "d", "e"], ["1", "2", "3", "4"]],
  ["one client has no more than its own", ["a", "a", "a", "a", "a", "a"], ["4", "5"]],
  ["and takes the place of its own oldest", ["b", "a", "c", "a", "a"], ["0", "2", "3", "4"]],
  ["a client that comes again and again evicts no other", ["b", ..."aaaaaaaaa"], ["0", "8", "9"]],
];

test.each(cases)("%s", async (_name, clients, reasons) => {
  for (const [n, client] of clients.entries()) await insert(trace(String(n), client));
  expect(await kept()).toEqual({ reasons, requests: clients.length });
});

test("checks and webhooks have slots of their own", async () => {
  const other = await insertWebhook();
  await insert(trace("rare", "a", { check: "timestamp" }), trace("other", "a", { webhookId: other }));
  for (let n = 0; n < 20; n++) await insert(trace(String(n), `c${n}`, { further: 10 }));
  expect(await kept()).toEqual({ reasons: ["16", "17", "18", "19", "rare"], requests: 20 * 11 + 1 });
  expect(await kept(other)).toEqual({ reasons: ["other"], requests: 1 });
});

test("a batch of several webhooks and clients", async () => {
  const other = await insertWebhook();
  await insert(...["a", "b", "c", "d"].map((client, n) => trace(`old ${n}`, client)));
  await insert(
    trace("new 0", "a", { further: 5 }),
    trace("new 1", "e"),
    trace("else", "a", { webhookId: other, further: 7 }),
  );
  expect(await kept()).toEqual({ reasons: ["old 2", "old 3", "new 0", "new 1"], requests: 6 + 5 });
  expect(await kept(other)).toEqual({ reasons: ["else"], requests: 1 + 7 });
});

test("what it holds comes back as it was", async () => {
  const row = trace("a reason", "a", { body: null, size: null, bodyTruncated: true });
  await insert(row, trace("with a body", "b"));
  const { rows } = await pool.query("select * from receive_traces where webhook_id = $1 order by id", [webhookId]);
  expect(rows).toMatchObject([
    { id: row.id, headers: [["a", "b"]], body: null, body_truncated: true, size: null, method: "POST" },
    { body: Buffer.from("\0\xff", "latin1"), size: 2, status_code: 401, remote_address: "b" },
  ]);
});

test("a webhook that is gone, or another organization's, keeps nothing", async () => {
  await insert(trace("gone", "a", { webhookId: randomUUID() }), trace("theirs", "a", { organizationId: randomUUID() }));
  expect((await pool.query("select from receive_traces where reason = any ('{gone,theirs}')")).rowCount).toBe(0);
});

test("replicas that write for one webhook at once leave no more than the next write sees to", async () => {
  for (let round = 0; round < 10; round++) {
    await Promise.all(Array.from({ length: 4 }, (_, n) => insert(trace(`${round} ${n}`, `c${n % 3}`))));
  }
  await insert(trace("last", "last"));
  const { reasons, requests } = await kept();
  expect([reasons.length, reasons.at(-1), requests]).toEqual([SLOTS.perCheck, "last", 41]);
});
