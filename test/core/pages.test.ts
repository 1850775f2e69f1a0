/** Cursor pages over a real table: every row once, newest first, whatever happens between two pages; and only cursors of ours. */
import type { EntityManager } from "@mikro-orm/postgresql";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { newId } from "../../src/core/ids.ts";
import { findPage, type Page } from "../../src/core/pages.ts";
import { Webhook } from "../../src/store/entities/webhook.ts";
import { createOrm, type Orm, organizationScope } from "../../src/store/orm.ts";
import { connectionTo, createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let pool: Pool;
let orm: Orm;
let organizationId: string;
let em: EntityManager;
let idPrefix: string;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  orm = await createOrm(connectionTo(database));
});
beforeEach(async () => {
  organizationId = newId();
  idPrefix = organizationId.slice(-8);
  await pool.query("insert into organizations (id, name) values ($1, 'test')", [organizationId]);
  em = organizationScope(orm, organizationId);
});
afterAll(async () => {
  await orm?.close(true);
  await pool?.end();
  await database?.drop();
});

/** A webhook with the number `n` as its name, created at the second `at`. Its id sorts by `n`. */
async function insert(n: number, at: number): Promise<void> {
  const id = `${idPrefix}-0000-7000-8000-${String(n).padStart(12, "0")}`;
  await pool.query(
    `insert into webhooks (id, organization_id, name, source, events, status, created_at, updated_at)
     values ($1, $2, $3, 'custom', '{}', 'active', to_timestamp($4::float8), now())`,
    [id, organizationId, String(n), 1_700_000_000 + at],
  );
}

const names = (page: Page<Webhook>) => page.items.map((webhook) => Number(webhook.name));

async function page(limit: number, cursor: string | null | undefined, byCreation: boolean) {
  return await findPage(em, Webhook, {}, { limit, cursor: cursor ?? undefined }, byCreation);
}

/** The names of every page. `between` runs after each. */
async function walk(limit: number, byCreation: boolean, between = async () => {}): Promise<number[][]> {
  const pages: number[][] = [];
  let cursor: string | null | undefined;
  do {
    const found = await page(limit, cursor, byCreation);
    expect(found.hasMore).toBe(found.nextCursor !== null);
    pages.push(names(found));
    cursor = found.nextCursor;
    await between();
  } while (cursor !== null);
  return pages;
}

describe("every row once, newest first", () => {
  test.each([
    [0, 3, [[]]],
    [2, 3, [[1, 0]]],
    [3, 3, [[2, 1, 0]]],
    [4, 3, [[3, 2, 1], [0]]],
    [5, 1, [[4], [3], [2], [1], [0]]],
    [
      6,
      3,
      [
        [5, 4, 3],
        [2, 1, 0],
      ],
    ],
  ])("%i rows, %i a page", async (rows, limit, expected) => {
    for (let n = 0; n < rows; n++) await insert(n, n);
    expect(await walk(limit, true)).toEqual(expected);
    expect(await walk(limit, false)).toEqual(expected);
  });

  test("rows of the same moment follow their ids", async () => {
    for (const n of [3, 1, 4, 0, 2]) await insert(n, 0);
    expect(await walk(2, true)).toEqual([[4, 3], [2, 1], [0]]);
  });

  test("moments count before ids, to the millisecond", async () => {
    for (const [n, at] of [
      [0, 0.002],
      [1, 0.001],
      [2, 0.003],
      [3, 0],
    ] as const) {
      await insert(n, at);
    }
    expect(await walk(1, true)).toEqual([[2], [0], [1], [3]]);
    expect(await walk(3, false)).toEqual([[3, 2, 1], [0]]);
  });

  test("rows that come between two pages move nothing", async () => {
    for (let n = 0; n < 4; n++) await insert(n, n);
    let next = 10;
    const pages = await walk(2, true, async () => {
      next += 1;
      await insert(next, next);
    });
    expect(pages).toEqual([
      [3, 2],
      [1, 0],
    ]);
  });

  test("a row that goes is missed, and takes no other with it", async () => {
    for (let n = 0; n < 5; n++) await insert(n, n);
    const pages = await walk(2, true, async () => {
      await pool.query("delete from webhooks where organization_id = $1 and name = '3'", [organizationId]);
    });
    expect(pages).toEqual([[4, 3], [2, 1], [0]]);
  });
});

test("another organization's rows are on no page, and its cursor opens none", async () => {
  for (let n = 0; n < 3; n++) await insert(n, n);
  const { nextCursor } = await page(1, undefined, true);
  const other = organizationScope(orm, newId());
  for (const cursor of [undefined, nextCursor ?? ""]) {
    expect((await findPage(other, Webhook, {}, { limit: 10, cursor }, true)).items).toEqual([]);
  }
});

describe("cursors that no list of ours can have issued", () => {
  const cursorOf = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const ID = "0198f3a1-0000-7000-8000-000000000000";
  const AT = "2026-11-23T00:00:00.000Z";
  const cases: [name: string, cursor: string, byCreation: boolean][] = [
    ["text", "next", true],
    ["no base64", "%%%", true],
    ["a number", cursorOf(1), true],
    ["null", cursorOf(null), true],
    ["an object", cursorOf({ id: ID }), true],
    ["nothing in it", cursorOf([]), true],
    ["the other list's, without a time", cursorOf([ID]), true],
    ["the other list's, with a time", cursorOf([AT, ID]), false],
    ["no id", cursorOf([AT, "1"]), true],
    ["an id with more to it", cursorOf([AT, `${ID}' or 1=1`]), true],
    ["an id that is no text", cursorOf([AT, [ID]]), true],
    ["no time", cursorOf(["yesterday", ID]), true],
    ["a time that is no text", cursorOf([0, ID]), true],
    ["a time that PostgreSQL does not have", cursorOf(["0000-01-01T00:00:00.000Z", ID]), true],
    ["a month that there is not", cursorOf(["2026-13-01T00:00:00.000Z", ID]), true],
    ["too much", cursorOf([AT, ID, ID]), true],
  ];

  test.each(cases)("%s", async (_name, cursor, byCreation) => {
    await expect(page(1, cursor, byCreation)).rejects.toMatchObject({
      reason: "BAD_REQUEST",
      violations: [{ field: "cursor", rule: "cursor", message: "must be the nextCursor of the page before" }],
    });
  });

  test("those of the right form are taken, whether or not their row is there", async () => {
    expect((await page(1, cursorOf([AT, ID]), true)).items).toEqual([]);
    expect((await page(1, cursorOf([ID]), false)).items).toEqual([]);
  });
});
