/** Partitions of the history: which stretches are missing, and how they are made beside rows that came too early. */
import { Client, type Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  adoptStrays,
  ensurePartitions,
  listPartitions,
  missingSpans,
  type Span,
  uuidLowerBound,
  uuidTimeMs,
} from "../../src/store/partitions.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { DAY_MS, insertEvent, insertWebhook, type TestWebhook } from "./history.ts";

const TODAY = 20_000 * DAY_MS;
const NOON = TODAY + DAY_MS / 2;
/** Days from today: `[-1, 0]` is yesterday. */
const days = (...spans: [number, number][]): Span[] =>
  spans.map(([from, to]) => ({ fromMs: TODAY + from * DAY_MS, toMs: TODAY + to * DAY_MS }));

describe("missing stretches", () => {
  test.each<[string, [number, number][], number, [number, number][]]>([
    [
      "with no partition, every day from yesterday on",
      [],
      1,
      [
        [-1, 0],
        [0, 1],
        [1, 2],
        [2, 3],
      ],
    ],
    [
      "between partitions, only what they leave",
      [
        [-1, 0],
        [1, 2],
      ],
      1,
      [
        [0, 1],
        [2, 3],
      ],
    ],
    ["with all there, none", [[-5, 3]], 1, []],
    [
      "of several days, whole widths counted from 1970",
      [],
      3,
      [
        [-2, 1],
        [1, 4],
      ],
    ],
    [
      "wider than the gap, the gap",
      [
        [-1, 0],
        [1, 4],
      ],
      3,
      [[0, 1]],
    ],
    [
      "daily after wider ones, from their end on",
      [[-8, 1]],
      1,
      [
        [1, 2],
        [2, 3],
      ],
    ],
  ])("%s", (_title, existing, widthDays, expected) => {
    expect(missingSpans(days(...existing), NOON, { daysAhead: 2, widthDays })).toEqual(days(...expected));
  });
});

test("a bound is the smallest id of its millisecond, and says when", () => {
  expect(uuidLowerBound(0x0192_5678_9abc)).toBe("01925678-9abc-0000-0000-000000000000");
  expect(uuidTimeMs(uuidLowerBound(NOON))).toBe(NOON);
  expect(uuidTimeMs("ffffffff-ffff-7000-8000-000000000000")).toBe(2 ** 48 - 1);
});

describe("on a database", () => {
  const plan = { daysAhead: 2, widthDays: 1 };
  let database: TestDatabase;
  let pool: Pool;
  let client: Client;
  let webhook: TestWebhook;

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool(database);
    client = new Client({ connectionString: database.url });
    await client.connect();
    webhook = await insertWebhook(pool);
  });
  afterAll(async () => {
    await client?.end();
    await pool?.end();
    await database?.drop();
  });

  const placeOf = async (id: string) =>
    (await pool.query("select tableoid::regclass::text as place from events where id = $1", [id])).rows[0]?.place;
  const nameAt = (ms: number) => `events_p${new Date(ms).toISOString().slice(0, 10).replaceAll("-", "")}`;

  test("rows that came before their partition move into it when it is made", async () => {
    // Further ahead than the template's partitions go.
    const future = Date.now() + 30 * DAY_MS;
    const early = await insertEvent(pool, webhook, future);
    expect(await placeOf(early)).toBe("events_default");
    expect(await ensurePartitions(client, future, plan)).toBe(true);
    expect(await placeOf(early)).toBe(nameAt(future));
    const { rowCount } = await pool.query("select 1 from events where id = $1", [early]);
    expect(rowCount).toBe(1);
    expect(await ensurePartitions(client, future, plan)).toBe(true);
  });

  test("a day with too many rows stays in the default partition, and is said to be missing", async () => {
    const future = Math.floor(Date.now() / DAY_MS + 60) * DAY_MS;
    const id = await insertEvent(pool, webhook, future);
    await pool.query(
      `insert into events select (e).* from (select jsonb_populate_record(e, jsonb_build_object('id',
           left(e.id::text, 13) || '-7000-8000-' || lpad(to_hex(n), 12, '0'))) as e
         from events e, generate_series(1, 2000) n where e.id = $1) copies`,
      [id],
    );
    expect(await ensurePartitions(client, future, plan)).toBe(false);
    expect(await placeOf(id)).toBe("events_default");
    const made = (await listPartitions(client, "events")).map(({ name }) => name);
    expect(made).not.toContain(nameAt(future));
    expect(made).toContain(nameAt(future + DAY_MS));
  });

  test("rows of days gone by get their partition too, those older than asked do not", async () => {
    const nowMs = Date.now();
    const [kept, old] = [
      await insertEvent(pool, webhook, nowMs - 5 * DAY_MS),
      await insertEvent(pool, webhook, nowMs - 9 * DAY_MS),
    ];
    await adoptStrays(client, nowMs, nowMs - 8 * DAY_MS, plan);
    expect(await placeOf(kept)).toBe(nameAt(nowMs - 5 * DAY_MS));
    expect(await placeOf(old)).toBe("events_default");
  });

  test("a table that is in use is not shut: the partition is made by a later turn", async () => {
    const future = Date.now() + 100 * DAY_MS;
    const reader = await pool.connect();
    try {
      await reader.query("begin");
      await reader.query("select 1 from events limit 1");
      expect(await ensurePartitions(client, future, plan)).toBe(false);
      // Whoever comes after the one who waits is held up for a moment only.
      expect((await pool.query("select 1 from events limit 1")).rowCount).toBe(1);
    } finally {
      await reader.query("rollback");
      reader.release();
    }
    expect(await ensurePartitions(client, future, plan)).toBe(true);
  });
});
