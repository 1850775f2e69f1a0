/** Statements end with their calls, and a cancel request ends nothing else. */
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { onBehalfOf, onBehalfOfAll } from "../../src/store/on-behalf.ts";
import { transaction } from "../../src/store/transaction.ts";
import { eventually } from "../support/eventually.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { startPostgresProxy } from "../support/postgres-proxy.ts";

const CANCELED = { reason: "CANCELED", message: "the call has ended" };
const LONG = "select pg_sleep(60)";

let database: TestDatabase;
let pool: Pool;
let observer: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  observer = createPool(database);
  await observer.query("create table notes (text text)");
});
afterAll(async () => {
  await Promise.all([pool?.end(), observer?.end()]);
  await database?.drop();
});

/** Statements of the pool that run on the server and hold the text. */
async function running(text: string): Promise<number> {
  const { rows } = await observer.query<{ count: number }>(
    `select count(*)::int from pg_stat_activity
     where datname = current_database() and state <> 'idle' and query like $1 and pid <> pg_backend_pid()`,
    [`%${text}%`],
  );
  return rows[0]?.count ?? 0;
}

const begun = (text: string, count = 1) =>
  eventually("the statements run", async () => (await running(text)) === count || undefined);

test("a statement that runs is cancelled on the server, and its connection is good for the next", async () => {
  const call = new AbortController();
  const work = onBehalfOf(call, () => pool.query(LONG));
  await begun(LONG);
  call.abort();
  await expect(work).rejects.toMatchObject(CANCELED);
  await eventually("it runs no more", async () => (await running(LONG)) === 0);
  const before = pool.totalCount;
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  expect(pool.totalCount).toBe(before);
});

test("a statement that its cancel request overtakes is cancelled all the same", async () => {
  const proxy = await startPostgresProxy(database.url);
  const slow = createPool({ ...database, url: proxy.url });
  await slow.query("select 1");
  proxy.holdUntilCancel("pg_sleep");
  const call = new AbortController();
  const work = onBehalfOf(call, () => slow.query(LONG));
  setImmediate(() => call.abort());
  await expect(work).rejects.toMatchObject(CANCELED);
  await slow.end();
  await proxy.close();
});

test("a statement of a call that has ended is never sent", async () => {
  const call = new AbortController();
  call.abort();
  await expect(onBehalfOf(call, () => pool.query("insert into notes values ('unsent')"))).rejects.toMatchObject(
    CANCELED,
  );
  expect((await observer.query("select 1 from notes where text = 'unsent'")).rows).toEqual([]);
});

test("a wait for a connection ends, and takes none away", async () => {
  const holders = await Promise.all(Array.from({ length: 4 }, () => pool.connect()));
  const call = new AbortController();
  const waiting = onBehalfOf(call, () => Promise.allSettled(Array.from({ length: 20 }, () => pool.query("select 1"))));
  call.abort();
  for (const { status } of await waiting) expect(status).toBe("rejected");
  for (const client of holders) client.release();
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  await eventually("every connection is free", async () => pool.idleCount === pool.totalCount || undefined);
});

describe("a transaction", () => {
  const texts = async () => (await observer.query("select text from notes")).rows;

  test.each([
    ["during a statement", LONG],
    ["between two statements", undefined],
  ])("rolls back, ended %s, and leaves its connection without it", async (_when, statement) => {
    const call = new AbortController();
    const work = onBehalfOf(call, () =>
      transaction(pool, async (client) => {
        await client.query("insert into notes values ('rolled back')");
        if (statement === undefined) call.abort();
        else await client.query(statement);
      }),
    );
    if (statement !== undefined) {
      await begun(statement);
      call.abort();
    }
    await expect(work).rejects.toMatchObject(CANCELED);
    expect(await texts()).toEqual([]);
    await eventually("nothing runs", async () => (await running("")) === 0);
  });

  test("whose COMMIT is under way commits", async () => {
    await observer.query(`
      create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(0.5); return null; end $$;
      create table slow_notes (text text);
      create constraint trigger slow after insert on slow_notes deferrable initially deferred
        for each row execute function slow()`);
    const call = new AbortController();
    const work = onBehalfOf(call, () =>
      transaction(pool, async (client) => {
        await client.query("insert into slow_notes values ('kept')");
      }),
    );
    await begun("commit");
    call.abort();
    await work;
    expect((await observer.query("select text from slow_notes")).rows).toEqual([{ text: "kept" }]);
  });
});

test("what is done for all goes on, whoever set it off", async () => {
  const call = new AbortController();
  const work = onBehalfOf(call, () => onBehalfOfAll(() => pool.query("select pg_sleep(0.2), 1 as one")));
  await begun("pg_sleep(0.2)");
  call.abort();
  expect((await work).rows).toMatchObject([{ one: 1 }]);
});

test("a failure that is no end of the call stays what it is", async () => {
  const call = new AbortController();
  await expect(onBehalfOf(call, () => pool.query("select 1 / 0"))).rejects.toMatchObject({ code: "22012" });
  await expect(onBehalfOf(call, () => pool.query("select 1 as one"))).resolves.toMatchObject({ rows: [{ one: 1 }] });
});

test("no statement of another call is ended, however near to its end each is cancelled", async () => {
  /** Statements of a millisecond, half of them cancelled at about the time at which they end. */
  const ROUNDS = 400;
  let cancelled = 0;
  async function doomed() {
    for (let round = 0; round < ROUNDS; round++) {
      const call = new AbortController();
      const work = onBehalfOf(call, () => pool.query("select pg_sleep(0.001)"));
      setTimeout(() => call.abort(), 1 + (round % 4));
      await work.catch((error: unknown) => {
        expect(error).toMatchObject(CANCELED);
        cancelled++;
      });
    }
  }
  async function spared() {
    for (let round = 0; round < ROUNDS; round++) await pool.query("select pg_sleep(0.001)");
  }
  await Promise.all([doomed(), doomed(), doomed(), spared(), spared(), spared()]);
  expect(cancelled).toBeGreaterThan(0);
});
