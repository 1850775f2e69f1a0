/**
 * Shutting a busy table for a moment. Whoever comes after a lock that waits, waits too; so it waits for a few
 * milliseconds only, gives up, and tries again. Its wait ends long before PostgreSQL looks for deadlocks (1 s): a
 * statement of the hot path never loses to it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientBase } from "pg";

/** Longest wait for each lock, longest statement while it is held, and the rest between tries, milliseconds. */
const LOCK_TIMEOUT_MS = 50;
const STATEMENT_TIMEOUT_MS = 500;
const REST_MS = 200;
const TRIES_MAX = 10;

/** Lock not available, query canceled (by the time-outs above), deadlock detected. */
const BUSY = /^(55P03|57014|40P01)$/;

// Also what belongs to the tables: their indexes and what holds their large values. Whose start we may not see counts.
const IN_USE = `
with tables as (
  select oid, reltoastrelid from pg_class where oid = any ($1::regclass[])
), relations as (
  select oid from tables union select reltoastrelid from tables
  union select indexrelid from pg_index where indrelid in (select oid from tables)
)
select 1 from pg_locks l join pg_stat_activity a on a.pid = l.pid
where l.locktype = 'relation' and l.granted and l.pid <> pg_backend_pid() and l.relation in (select oid from relations)
  and l.database = (select oid from pg_database where datname = current_database())
  and coalesce(a.xact_start < clock_timestamp() - $2 * interval '1 millisecond', true)
limit 1`;

/**
 * Runs `work` in one transaction that holds the table against everyone; undefined if it was too busy each time.
 * `touched` are the partitions that the work locks as well. While someone works long on one of these (a vacuum, a dump),
 * it does not even try. Other failures reject.
 */
export async function shutBriefly<Result>(
  client: ClientBase,
  table: string,
  touched: readonly string[],
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let turn = 1; turn <= TRIES_MAX; turn++) {
    if (turn > 1) await sleep(REST_MS);
    const { rowCount } = await client.query(IN_USE, [[table, ...touched], LOCK_TIMEOUT_MS]);
    if (rowCount !== 0) continue;
    try {
      return await shut(client, table, work);
    } catch (error) {
      if (!BUSY.test((error as { code?: string }).code ?? "")) throw error;
    }
  }
  return undefined;
}

async function shut<Result>(client: ClientBase, table: string, work: () => Promise<Result>): Promise<Result> {
  const limits = `set local lock_timeout = ${LOCK_TIMEOUT_MS}; set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`;
  try {
    await client.query(`begin; ${limits}; lock table only ${table} in access exclusive mode`);
    const result = await work();
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}
