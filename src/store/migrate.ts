/** Applies pending migrations and makes partitions ahead of time, one process at a time. */
import { Migrator } from "@mikro-orm/migrations";
import { MikroORM } from "@mikro-orm/postgresql";
import { Client } from "pg";
import { Initial } from "./migrations/0001-initial.ts";
import { LeanHistory } from "./migrations/0002-lean-history.ts";
import { Receiving } from "./migrations/0003-receiving.ts";
import { Verification } from "./migrations/0004-verification.ts";
import { AttemptsAndCredentials } from "./migrations/0005-attempts-and-credentials.ts";
import { SecretCaptures } from "./migrations/0006-secret-captures.ts";
import { Isolation } from "./migrations/0007-isolation.ts";
import { Steering } from "./migrations/0008-steering.ts";
import { OperationalEvents } from "./migrations/0009-operational-events.ts";
import { BulkJobs } from "./migrations/0010-bulk-jobs.ts";
import { WaitingByWebhook } from "./migrations/0011-waiting-by-webhook.ts";
import { Turns } from "./migrations/0012-turns.ts";
import { ensurePartitions, type PartitionPlan } from "./partitions.ts";
import { poolOptions, type StoreConnection } from "./pool.ts";

/** Advisory lock key of the migrations ("alumia" in ASCII). */
const MIGRATION_LOCK = 0x616c756d6961;
const MIGRATIONS = [
  Initial,
  LeanHistory,
  Receiving,
  Verification,
  AttemptsAndCredentials,
  SecretCaptures,
  Isolation,
  Steering,
  OperationalEvents,
  BulkJobs,
  WaitingByWebhook,
  Turns,
];

/**
 * Brings the schema up to date and returns the names of the migrations applied. Any number of processes may call
 * it at once: an advisory lock on a connection of its own makes them take turns (the migrator has no lock).
 */
export async function migrate(connection: StoreConnection, options: { now: number; partitions: PartitionPlan }) {
  const {
    statement_timeout: _,
    query_timeout: __,
    idle_in_transaction_session_timeout: ___,
    ...plain
  } = poolOptions(connection, "orm");
  const client = new Client({ ...plain, application_name: "alumia-migrate" });
  client.on("error", () => {});
  await client.connect();
  try {
    await client.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
    const applied = await runMigrations(plain);
    await ensurePartitions(client, options.now, options.partitions);
    return applied;
  } finally {
    await client.end();
  }
}

async function runMigrations(driverOptions: object): Promise<string[]> {
  const orm = await MikroORM.init({
    entities: [],
    dbName: "alumia",
    driverOptions: { ...driverOptions, max: 1 },
    extensions: [Migrator],
    discovery: { warnWhenNoEntities: false },
    ensureDatabase: false,
    logger: () => {},
    migrations: { migrationsList: MIGRATIONS, snapshot: false, tableName: "migrations" },
  });
  try {
    return (await orm.migrator.up()).map((migration) => migration.name);
  } finally {
    await orm.close(true);
  }
}

/** Whether the schema is the one that this code needs. */
export async function schemaIsCurrent(query: (sql: string) => Promise<{ rows: { name: string }[] }>): Promise<boolean> {
  const { rows } = await query("select name from migrations");
  const applied = new Set(rows.map((row) => row.name));
  return MIGRATIONS.every((migration) => applied.has(new migration(undefined as never, undefined as never).name));
}
