/**
 * How long history is kept.
 *
 *   RETENTION_DAYS old:    what is still owed of it expires, visibly
 *   one day older still:   its partition is dropped, events first, then deliveries, then their attempts
 *
 * Traces of refused receives go when they are RETENTION_DAYS old.
 *
 * Every step stands for itself, so a turn that is cut short is taken up by the next one. No more than one process may
 * take a turn at a time.
 */
import type { ClientBase } from "pg";
import {
  DAY_MS,
  dropPartition,
  HISTORY,
  type HistoryTable,
  listPartitions,
  type Span,
  uuidLowerBound,
} from "./partitions.ts";
import { expireDeliveries, findExpired } from "./sql/expire.ts";
import { trimTraces } from "./sql/traces.ts";

export interface RetentionOptions {
  readonly retentionDays: number;
  /** Queue rows looked at, and rows deleted from a default partition, by one statement. */
  readonly rows: number;
  /** What the process takes for the time; the earlier of this and the database's clock counts. */
  readonly nowMs: number;
  /** Ends the turn after the step under way. */
  readonly signal: AbortSignal;
}

/** What a turn did. */
export interface Retired {
  /** Deliveries that were given up. */
  readonly expired: number;
  /** Partitions that were dropped. */
  readonly dropped: readonly string[];
  /** Rows that were deleted from default partitions. */
  readonly trimmed: number;
}

const REASON = "still owed when RETENTION_DAYS had passed; nothing was sent";
const NO_ID = "00000000-0000-0000-0000-000000000000";

/** Retires what is older than it is kept. */
export async function retire(client: ClientBase, options: RetentionOptions): Promise<Retired> {
  const { rows } = await client.query<{ ms: string }>("select extract(epoch from now()) * 1000 as ms");
  // A clock that runs ahead must not cost history: it takes two that agree.
  const nowMs = Math.min(options.nowMs, Math.floor(Number(rows[0]?.ms ?? 0)));
  const expireMs = nowMs - options.retentionDays * DAY_MS;
  const dropMs = expireMs - DAY_MS;
  const expired = await expire(client, uuidLowerBound(expireMs), options);
  while (!options.signal.aborted && (await trimTraces(client, uuidLowerBound(expireMs), options.rows)));
  const dropped: string[] = [];
  let trimmed = 0;
  for (const history of HISTORY) {
    const left = await dropOld(client, history.table, dropMs, dropped, options.signal);
    // Attempts never go before their deliveries.
    if (left) break;
    trimmed += await trimDefault(client, history, uuidLowerBound(dropMs), options);
  }
  return { expired, dropped, trimmed };
}

async function expire(client: ClientBase, before: string, { rows, signal }: RetentionOptions): Promise<number> {
  let expired = 0;
  for (let after: string | null = NO_ID; after !== null && !signal.aborted; ) {
    const page: { last: string | null; due: string[] } = await findExpired(client, { after, before, rows });
    if (page.due.length > 0) expired += await expireDeliveries(client, page.due, REASON);
    after = page.last;
  }
  return expired;
}

/** Drops what is older, and notes it in `dropped`; resolves to whether something had to be left for the next turn. */
async function dropOld(
  client: ClientBase,
  table: string,
  beforeMs: number,
  dropped: string[],
  signal: AbortSignal,
): Promise<boolean> {
  const old = (await listPartitions(client, table)).filter(({ toMs }) => toMs <= beforeMs);
  for (const partition of old) {
    const may = async () => table !== "deliveries" || !(await isOwed(client, partition));
    if (signal.aborted || !(await dropPartition(client, table, partition, may))) return true;
    dropped.push(partition.name);
  }
  return false;
}

/** Whether one of its deliveries is still owed: a worker holds it, or it was retried by hand just now. */
async function isOwed(client: ClientBase, { fromMs, toMs }: Span): Promise<boolean> {
  const { rowCount } = await client.query(
    "select 1 from delivery_queue where delivery_id >= $1 and delivery_id < $2 limit 1",
    [uuidLowerBound(fromMs), uuidLowerBound(toMs)],
  );
  return rowCount === 1;
}

/** Rows of a default partition that may go: what is owed stays, and attempts stay with their delivery. */
const FINISHED: Readonly<Record<HistoryTable["table"], string>> = {
  events: "",
  deliveries: "and status in ('succeeded', 'failed', 'canceled')",
  delivery_attempts: "and not exists (select 1 from deliveries d where d.id = delivery_id)",
};

async function trimDefault(
  client: ClientBase,
  { table, key }: HistoryTable,
  before: string,
  { rows, signal }: RetentionOptions,
): Promise<number> {
  const statement = `delete from ${table}_default where ctid = any (array(
    select ctid from ${table}_default where ${key} < $1 ${FINISHED[table]} limit $2 for update skip locked))`;
  let trimmed = 0;
  for (let found = rows; found === rows && !signal.aborted; trimmed += found) {
    found = (await client.query(statement, [before, rows])).rowCount ?? 0;
  }
  return trimmed;
}
