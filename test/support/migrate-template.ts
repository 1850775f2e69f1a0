import { LIMITS, partitionPlan } from "../../src/config.ts";
import { migrate } from "../../src/store/migrate.ts";

/** Brings the template database, which every test database is a clone of, to the current schema. */
export async function migrateTemplate(url: string): Promise<void> {
  const connection = {
    target: url,
    hotConnectionsMax: 1,
    ormConnectionsMax: 1,
    lookupConnectionsMax: 1,
    statementTimeoutMs: LIMITS.statementTimeoutMs,
    connectTimeoutMs: LIMITS.connectTimeoutMs,
  };
  await migrate(connection, { now: Date.now(), partitions: partitionPlan({ retentionDays: 30 }) });
}
