/** Databases for tests: each a clone of the migrated template, on the server of the run. */
import { randomBytes } from "node:crypto";
import { Client } from "pg";
import { inject } from "vitest";
import { databaseUrl, TEMPLATE } from "./database-url.ts";

export interface TestDatabase {
  readonly name: string;
  /** A plain `postgres://user:password@host:port/name`. */
  readonly url: string;
  /** Removes the database, cutting off whoever is connected. */
  drop(): Promise<void>;
}

/** A database of its own for one test file, with the current schema and no rows. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = inject("postgres").url;
  const name = `test_${randomBytes(8).toString("hex")}`;
  await execute(server, `create database ${name} template ${TEMPLATE}`);
  return {
    name,
    url: databaseUrl(server, name),
    drop: async () => await execute(server, `drop database if exists ${name} with (force)`),
  };
}

async function execute(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url, application_name: "alumia-test" });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
