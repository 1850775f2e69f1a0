/** The test databases themselves: apart from each other, gone when dropped. */
import { Client } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";

let databases: TestDatabase[] = [];

beforeAll(async () => {
  databases = await Promise.all([createTestDatabase(), createTestDatabase()]);
});
afterAll(async () => {
  await Promise.all(databases.map((database) => database.drop()));
});

async function firstColumn(database: TestDatabase | undefined, statement: string): Promise<unknown[]> {
  const client = new Client({ connectionString: database?.url });
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text: statement, rowMode: "array" });
    return rows.map((row) => row[0]);
  } finally {
    await client.end();
  }
}

test("two databases know nothing of each other, and their URLs are plain", async () => {
  const [a, b] = databases;
  await firstColumn(a, "create table mine (x int)");
  expect(await firstColumn(b, "select to_regclass('mine')")).toEqual([null]);
  expect(await firstColumn(a, "select current_database()")).toEqual([a?.name]);
  expect(new URL(a?.url ?? "").hostname).not.toBe("");
});

test("a dropped database is gone, even while somebody is connected", async () => {
  const database = await createTestDatabase();
  const client = new Client({ connectionString: database.url });
  const cutOff = new Promise<void>((resolve) => client.on("error", () => resolve()));
  await client.connect();
  await database.drop();
  await cutOff;
  const [other] = databases;
  expect(await firstColumn(other, `select 1 from pg_database where datname = '${database.name}'`)).toEqual([]);
});
