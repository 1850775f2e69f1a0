/**
 * Daily partitions of the history tables, made ahead of time. Their bounds are UUIDv7 values, so a row's own id
 * says where it belongs. Rows that no daily partition takes go to the default one.
 *
 * A rule for statements: one that locks or changes rows in a CTE reaches partitions by parameters alone, or by a join
 * in its last, outermost part, never by a join in another CTE. Where a locked row has changed meanwhile, PostgreSQL
 * 18 prepares all CTEs anew to look at it again, and spoils the choice of partitions of those that still have to run:
 * it crashes with all its connections (18.4; `test/store/concurrent-changes.test.ts`).
 */
import type { Client, Pool, PoolClient } from "pg";

const DAY_MS = 86_400_000;
const LOCK_TIMEOUT_MS = 2_000;
const PARTITIONED = ["events", "deliveries", "delivery_attempts"] as const;

/** The smallest UUID whose UUIDv7 timestamp (RFC 9562 §5.7) is the given millisecond. */
export function uuidLowerBound(timestampMs: number): string {
  const hex = timestampMs.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-0000-0000-000000000000`;
}

/**
 * Makes the partitions of yesterday up to `daysAhead` days from `now`. A day whose rows already lie in the default
 * partition is left there.
 */
export async function ensurePartitions(client: Client | PoolClient | Pool, now: number, daysAhead: number) {
  const { rows } = await client.query<{ relname: string }>(
    "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid",
  );
  const existing = new Set(rows.map((row) => row.relname));
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  for (let day = today - DAY_MS; day <= today + daysAhead * DAY_MS; day += DAY_MS) {
    const suffix = new Date(day).toISOString().slice(0, 10).replaceAll("-", "");
    for (const table of PARTITIONED) {
      if (existing.has(`${table}_p${suffix}`)) continue;
      await makePartition(client, table, suffix, uuidLowerBound(day), uuidLowerBound(day + DAY_MS));
    }
  }
}

async function makePartition(
  client: Client | PoolClient | Pool,
  table: string,
  suffix: string,
  from: string,
  to: string,
) {
  // Both statements are one implicit transaction. Waiting long for the parent's lock would hold every receive up.
  const statement = `create table if not exists ${table}_p${suffix} partition of ${table}
    for values from ('${from}') to ('${to}')`;
  try {
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT_MS}ms'; ${statement}`);
  } catch (error) {
    // 23514: the default partition already holds rows of that day. 55P03: no lock; the next turn tries again.
    const { code = "" } = error as { code?: string };
    if (code !== "23514" && code !== "55P03") throw error;
  }
}
