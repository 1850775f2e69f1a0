/**
 * One PostgreSQL for the whole run, with a migrated template database. `TEST_DATABASE_URL` names a server to use
 * instead; its role must be allowed to create databases. Nothing here is durable: tests of durability start their
 * own server.
 */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "pg";
import type { TestProject } from "vitest/node";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";
import { findPostmaster } from "../../src/store/embedded/postmaster.ts";
import { isProcessAlive } from "../../src/store/embedded/start-lock.ts";
import { databaseUrl, TEMPLATE } from "./database-url.ts";
import { migrateTemplate } from "./migrate-template.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** URL of the run's server, naming a database that always exists. */
    postgres: { readonly url: string };
  }
}

/** Fast instead of safe, with room for every worker's pools. */
const SETTINGS = { fsync: "off", synchronous_commit: "off", full_page_writes: "off", max_connections: "300" };
const DIRECTORY = "alumia-test-";

let server: EmbeddedPostgres | undefined;
let directory: string | undefined;

export async function setup(project: TestProject): Promise<void> {
  const url = process.env.TEST_DATABASE_URL ?? (await startServer());
  await makeTemplate(url);
  project.provide("postgres", { url });
}

export async function teardown(): Promise<void> {
  await server?.stop({ force: true });
  if (directory) await rm(directory, { recursive: true, force: true });
}

async function startServer(): Promise<string> {
  await removeLeftovers();
  directory = await mkdtemp(join(tmpdir(), `${DIRECTORY}${process.pid}-`));
  // A run as root: the server's own user must be able to pass through.
  await chmod(directory, 0o711);
  const log = (level: string, message: string) => {
    if (level !== "info") process.stderr.write(`${message}\n`);
  };
  // Loopback rather than a socket: a plain URL says it all, whatever reads it.
  server = await startEmbeddedPostgres({ dataDir: directory, log, settings: SETTINGS, transport: "loopback" });
  const { user, password, host, port } = server.connection;
  return `postgres://${user}:${password}@${host}:${port}/postgres`;
}

async function makeTemplate(url: string): Promise<void> {
  const client = new Client({ connectionString: url, application_name: "alumia-test-setup" });
  await client.connect();
  try {
    await client.query(`drop database if exists ${TEMPLATE} with (force)`);
    await client.query(`create database ${TEMPLATE}`);
  } finally {
    await client.end();
  }
  await migrateTemplate(databaseUrl(url, TEMPLATE));
}

/** Ends and removes the servers of runs that were killed. */
async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${DIRECTORY}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isProcessAlive(Number(pid))) continue;
    const path = join(tmpdir(), name);
    // What another user's run left is not ours to touch.
    const running = await findPostmaster(join(path, "postgres", "cluster")).catch(() => undefined);
    if (running) process.kill(running.pid, "SIGQUIT");
    await rm(path, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  }
}
