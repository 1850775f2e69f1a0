/** The PostgreSQL of a scene: a database on a server that tests have, or the services' own server in a data directory. */
import { randomBytes } from "node:crypto";
import { Client, Pool } from "pg";
import { databaseUrl } from "../support/database-url.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { makeEmbeddedDirectory } from "./embedded-directory.ts";

export interface SceneStore {
  /** What tells services to use it. */
  readonly env: Readonly<Record<string, string>>;
  /** A way in from outside, past every fault of the network. Call it once a service has made the schema. */
  connect(): Promise<Pool>;
  /** Process id of the services' own server; undefined while none runs, and where it is not theirs. */
  postmaster(): Promise<number | undefined>;
  /** What stands between the services and the server, if that was asked for. */
  readonly proxy: PostgresProxy | undefined;
  remove(): Promise<void>;
}

/** A new database on the server at `server`; services reach it through a proxy where `proxied`. */
export async function makeDatabase(server: string, proxied: boolean): Promise<SceneStore> {
  const name = `faults_${randomBytes(8).toString("hex")}`;
  const url = databaseUrl(server, name);
  await execute(server, `create database ${name}`);
  const proxy = proxied ? await startPostgresProxy(url) : undefined;
  const pool = new Pool({ connectionString: url, max: 2 });
  // A server that is killed takes its connections with it.
  pool.on("error", () => {});
  return {
    env: { DATABASE_URL: proxy?.url ?? url, MASTER_KEY: randomBytes(32).toString("base64") },
    connect: async () => pool,
    postmaster: async () => undefined,
    proxy,
    remove: async () => {
      await pool.end();
      await proxy?.close();
      await execute(server, `drop database ${name} with (force)`);
    },
  };
}

/** The services' own server, with everything that makes it durable, in a new data directory below `parent`. */
export async function makeDataDirectory(parent?: string): Promise<SceneStore> {
  const directory = await makeEmbeddedDirectory(parent);
  return {
    env: { DATA_DIR: directory.path },
    connect: async () => await directory.connect(),
    postmaster: async () => await directory.postmaster(),
    proxy: undefined,
    remove: async () => await directory.remove(),
  };
}

async function execute(server: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
