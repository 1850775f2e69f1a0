/** Recording against a real database: one batch, bad rows, keys that others hold. */
import type { Pool, PoolClient } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { dedupeKey, EventRecorder } from "../../src/core/event-recorder.ts";
import { newId } from "../../src/core/ids.ts";
import type { ReceiveRow } from "../../src/store/sql/receive.ts";
import { unobserved } from "../support/observer.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const ORGANIZATION = newId();
const WINDOW_SECONDS = 77;

let database: TestDatabase;
let pool: Pool;
let recorder: EventRecorder;
let webhookId: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  await pool.query("insert into organizations (id, name) values ($1, 'test')", [ORGANIZATION]);
});
beforeEach(async () => {
  recorder = createRecorder();
  webhookId = newId();
  await pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, version, created_at, updated_at)
     values ($1, $2, 'test', 'stripe', '{}', 'active', 7, now(), now())`,
    [webhookId, ORGANIZATION],
  );
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

function createRecorder(): EventRecorder {
  const limits = {
    batchRowsMax: 256,
    batchBytesMax: 1_000_000,
    inFlightMax: 2,
    queueRowsMax: 1_000,
    queueBytesMax: 10_000_000,
  };
  return new EventRecorder({
    pool,
    observer: unobserved,
    limits,
    dedupeWindowSeconds: WINDOW_SECONDS,
    leaseMs: 60_000,
    batchRetriesMax: 5,
  });
}

function rowOf(change: Partial<ReceiveRow> = {}): ReceiveRow {
  return {
    eventId: newId(),
    organizationId: ORGANIZATION,
    webhookId,
    version: "7",
    type: "a",
    sourceEventId: null,
    status: "received",
    verified: true,
    scheme: "stripe",
    synthetic: false,
    contentType: "text/plain",
    headers: [["X-A", "1"]],
    body: Buffer.from("body"),
    receivedAtMs: Date.now(),
    repeatKey: null,
    bodyHash: null,
    reuseKey: null,
    reused: false,
    delivery: null,
    laned: false,
    orderKey: null,
    leaseToken: null,
    ...change,
  };
}

/** A row whose id and body make it a repeat of others. */
const keyed = (id: string, body: string, change: Partial<ReceiveRow> = {}): ReceiveRow =>
  rowOf({
    repeatKey: dedupeKey("id", id),
    bodyHash: dedupeKey("body", body),
    body: Buffer.from(body),
    sourceEventId: id,
    ...change,
  });

async function recordedIds(): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>("select id from events where webhook_id = $1", [webhookId]);
  return rows.map((row) => row.id).toSorted();
}

describe("one batch", () => {
  const bad: [name: string, change: Partial<ReceiveRow>][] = [
    ["a NUL in the content type", { contentType: "a\0b" }],
    ["a lone surrogate in the content type", { contentType: "\ud800" }],
    ["a NUL in the type", { type: "\0" }],
    ["a NUL in a header", { headers: [["X-A", "\0"]] }],
    ["a lone surrogate in a header's name", { headers: [["\udc00", "a"]] }],
  ];

  test.each(bad)("%s fails that row, and none of its neighbours", async (_name, change) => {
    const rows = [rowOf(), keyed("evt_1", "a"), rowOf(change), rowOf(), keyed("evt_2", "b")];
    const recorded = await Promise.all(
      rows.map((row) =>
        recorder.record(row).then(
          ({ kind }) => kind,
          (error: { reason?: string }) => error.reason,
        ),
      ),
    );
    expect(recorded).toEqual(["stored", "stored", "BAD_REQUEST", "stored", "stored"]);
    const good = rows.filter((_, index) => index !== 2).map((row) => row.eventId);
    expect(await recordedIds()).toEqual(good.toSorted());
  });

  test("fresh, stale, unknown and repeated rows are told apart", async () => {
    const held = keyed("evt_1", "a");
    expect(await recorder.record(held)).toEqual({ kind: "stored" });
    const rows = [rowOf(), rowOf({ version: "6" }), rowOf({ webhookId: newId() }), keyed("evt_1", "a")];
    expect(await Promise.all(rows.map((row) => recorder.record(row)))).toEqual([
      { kind: "stored" },
      { kind: "stale" },
      { kind: "stale" },
      { kind: "repeat", eventId: held.eventId },
    ]);
    expect(await recordedIds()).toEqual([held.eventId, rows[0]?.eventId].toSorted());
  });

  test("copies of a row that turns out stale are each judged: one that knows the new version is stored", async () => {
    const rows = [keyed("evt_1", "a", { version: "6" }), keyed("evt_1", "a", { version: "6" }), keyed("evt_1", "a")];
    expect(await Promise.all(rows.map((row) => recorder.record(row)))).toEqual([
      { kind: "stale" },
      { kind: "stale" },
      { kind: "stored" },
    ]);
    expect(await recordedIds()).toEqual([rows[2]?.eventId]);
  });

  test("a copy judged against an older version is no repeat, but stale: its secret may have been rotated", async () => {
    const rows = [keyed("evt_1", "a"), keyed("evt_1", "a", { version: "6" })];
    expect(await Promise.all(rows.map((row) => recorder.record(row)))).toEqual([{ kind: "stored" }, { kind: "stale" }]);
  });

  test("copies cost one statement together", async () => {
    const query = vi.spyOn(pool, "query");
    const rows = Array.from({ length: 50 }, () => keyed("evt_1", "a"));
    const [first, ...rest] = await Promise.all(rows.map((row) => recorder.record(row)));
    expect(first).toEqual({ kind: "stored" });
    expect(new Set(rest.map((one) => JSON.stringify(one)))).toEqual(
      new Set([JSON.stringify({ kind: "repeat", eventId: rows[0]?.eventId })]),
    );
    expect(query).toHaveBeenCalledTimes(1);
    query.mockRestore();
  });

  test("a stale row takes no key", async () => {
    await recorder.record(keyed("evt_1", "a", { version: "6" }));
    const { rows } = await pool.query("select 1 from event_dedupe where webhook_id = $1", [webhookId]);
    expect(rows).toEqual([]);
  });

  test("bodies of a batch are kept apart", async () => {
    const bodies = ["", "a", "bc", "\0", "déf"].map((text) => Buffer.from(text));
    const rows = bodies.map((body) => rowOf({ body }));
    await Promise.all(rows.map((row) => recorder.record(row)));
    const stored = await pool.query<{ id: string; body: Buffer; size: number }>(
      "select id, body, size from events where webhook_id = $1",
      [webhookId],
    );
    const byId = new Map(stored.rows.map(({ id, ...content }) => [id, content]));
    for (const { eventId, body } of rows) expect(byId.get(eventId)).toEqual({ body, size: body.length });
  });
});

test("a key is kept for the window", async () => {
  await recorder.record(keyed("evt_1", "a"));
  const { rows } = await pool.query<{ left: number }>(
    "select extract(epoch from expires_at - now())::float as left from event_dedupe where webhook_id = $1",
    [webhookId],
  );
  expect(rows[0]?.left).toBeLessThanOrEqual(WINDOW_SECONDS);
  expect(rows[0]?.left).toBeGreaterThan(WINDOW_SECONDS - 30);
});

test("a copy of a row that failed is tried by itself", async () => {
  const recorded = await Promise.allSettled([
    recorder.record(keyed("evt_1", "a", { contentType: "\0" })),
    recorder.record(keyed("evt_1", "a")),
    recorder.record(keyed("evt_1", "a")),
  ]);
  expect(recorded.map((one) => one.status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
  expect(await recordedIds()).toHaveLength(1);
});

describe("a key that another replica is just taking", () => {
  /** The other replica's transaction, which holds the key of `evt_1`. */
  async function holdKey(eventId: string): Promise<PoolClient> {
    const client = await pool.connect();
    await client.query("begin");
    await client.query(
      `insert into event_dedupe (webhook_id, key, organization_id, event_id, body_hash, expires_at)
       values ($1, decode($2, 'hex'), $3, $4, decode($5, 'hex'), now() + interval '1 hour')`,
      [webhookId, dedupeKey("id", "evt_1"), ORGANIZATION, eventId, dedupeKey("body", "a")],
    );
    return client;
  }

  /** Resolves once a statement waits for somebody else's lock. */
  async function someoneWaits(): Promise<void> {
    for (;;) {
      // Outside of the transaction that holds the lock: within one, pg_stat_activity stays as it was at first.
      const { rows } = await pool.query<{ waits: boolean }>(
        "select exists (select 1 from pg_locks where not granted and pid = any (select pid from pg_stat_activity where datname = current_database())) as waits",
      );
      if (rows[0]?.waits) return;
    }
  }

  test.each([
    ["commit", "the same body is a repeat of its event", "a", "repeat"],
    ["commit", "another body is stored and flagged", "b", "stored"],
    ["rollback", "the row is stored", "a", "stored"],
  ] as const)("%s: %s", async (end, _what, body, kind) => {
    const held = newId();
    const client = await holdKey(held);
    const row = keyed("evt_1", body);
    const recording = recorder.record(row);
    await someoneWaits();
    await client.query(end);
    client.release();
    expect(await recording).toEqual(kind === "repeat" ? { kind, eventId: held } : { kind });
    const { rows } = await pool.query("select source_event_id_reused from events where id = $1", [row.eventId]);
    expect(rows).toEqual(kind === "repeat" ? [] : [{ source_event_id_reused: body === "b" }]);
  });
});

test("drained means settled", async () => {
  const rows = Array.from({ length: 20 }, () => rowOf());
  const recording = Promise.all(rows.map((row) => recorder.record(row)));
  await recorder.drain();
  expect(await recordedIds()).toHaveLength(20);
  await recording;
});
