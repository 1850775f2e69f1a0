/** Several processes that migrate one empty database at once: each succeeds, the schema is made once. */
import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { Client } from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { databaseUrl } from "../support/database-url.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { killLeftovers, runCommand } from "./service-process.ts";

const name = `test_${randomBytes(8).toString("hex")}`;

async function query(url: string, statement: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

beforeAll(async () => {
  await query(inject("postgres").url, `create database ${name}`);
});
afterAll(async () => {
  await killLeftovers();
  await query(inject("postgres").url, `drop database if exists ${name} with (force)`);
});

test("three processes migrate at once, and a fourth finds nothing to do", { timeout: 30_000 }, async () => {
  const url = databaseUrl(inject("postgres").url, name);
  const env = { DATABASE_URL: url, MASTER_KEY: TEST_MASTER_KEY, LOG_LEVEL: "info" };
  const exits = await Promise.all([1, 2, 3].map(async () => await runCommand(["migrate"], env)));
  for (const exit of exits) expect(exit, exit.stderr).toMatchObject({ code: 0, signal: null });
  expect(exits.filter(({ stdout }) => stdout.includes("applied 0001-initial"))).toHaveLength(1);
  expect(exits.every(({ stdout }) => stdout.includes("the schema is up to date"))).toBe(true);
  const before = await query(url, "select * from migrations order by id");
  const migrations = readdirSync("src/store/migrations").map((file) => file.replace(".ts", ""));
  expect(before.map((row) => row.name)).toEqual(migrations.sort());
  expect(await runCommand(["migrate"], env)).toMatchObject({ code: 0, stderr: "" });
  expect(await query(url, "select * from migrations order by id")).toEqual(before);
});
