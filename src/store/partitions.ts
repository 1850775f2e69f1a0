/**
 * Partitions of the history tables, made ahead of time. Their bounds are UUIDv7 values, so a row's own id says where
 * it belongs. Rows that no partition takes go to the default one, so that a wrong clock cannot stop an insert.
 *
 * A rule for statements: one that locks or changes rows in a CTE reaches partitions by parameters alone, or by a join
 * in its last, outermost part, never by a join in another CTE. Where a locked row has changed meanwhile, PostgreSQL
 * 18 prepares all CTEs anew to look at it again, and spoils the choice of partitions of those that still have to run:
 * it crashes with all its connections (18.4; `test/store/concurrent-changes.test.ts`).
 */
import type { ClientBase } from "pg";
import { shutBriefly } from "./brief-lock.ts";

export const DAY_MS = 86_400_000;

/**
 * The history tables with the column that says when, in the order in which their partitions go. Events are compressed as
 * far as may be. A page of deliveries keeps room for the new versions of its rows: a completion then needs no new index
 * entries.
 */
export const HISTORY = [
  { table: "events", key: "id", storage: "toast_tuple_target = 128" },
  { table: "deliveries", key: "id", storage: "fillfactor = 30" },
  { table: "delivery_attempts", key: "delivery_id", storage: "fillfactor = 100" },
] as const;

export type HistoryTable = (typeof HISTORY)[number];

/** How history is cut: days made ahead, days of one partition. */
export interface PartitionPlan {
  readonly daysAhead: number;
  readonly widthDays: number;
}

/** A stretch of time, milliseconds since 1970; its end is the first that lies outside. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Partition extends Span {
  readonly name: string;
}

/** Rows of a new partition that are moved over from the default one; more stay there. */
const MOVED_ROWS_MAX = 2_000;

/** The last time that the 48 bits of a UUIDv7 can hold, milliseconds. */
export const UUID_TIME_MS_MAX = 2 ** 48 - 1;

/** The smallest UUID whose UUIDv7 timestamp (RFC 9562 §5.7) is the given millisecond. */
export function uuidLowerBound(timestampMs: number): string {
  const hex = timestampMs.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-0000-0000-000000000000`;
}

/** The timestamp of a UUIDv7, milliseconds. */
export const uuidTimeMs = (uuid: string): number => Number.parseInt(uuid.replace("-", "").slice(0, 12), 16);

/** The partitions of a table but the default one, oldest first. */
export async function listPartitions(client: ClientBase, table: string): Promise<Partition[]> {
  const { rows } = await client.query<{ name: string; bound: string }>(
    `select c.relname as name, pg_get_expr(c.relpartbound, c.oid) as bound
     from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass`,
    [table],
  );
  const partitions = rows.flatMap(({ name, bound }) => {
    const [, from, to] = /FROM \('(.+)'\) TO \('(.+)'\)/.exec(bound) ?? [];
    return from && to ? [{ name, fromMs: uuidTimeMs(from), toMs: uuidTimeMs(to) }] : [];
  });
  return partitions.sort((a, b) => a.fromMs - b.fromMs);
}

/** The stretches that no partition covers, from yesterday to `daysAhead` days from now, each as long as one may be. */
export function missingSpans(existing: readonly Span[], now: number, plan: PartitionPlan): Span[] {
  const today = Math.floor(now / DAY_MS) * DAY_MS;
  const missing: Span[] = [];
  for (let at = today - DAY_MS; at <= today + plan.daysAhead * DAY_MS; ) {
    const span = existing.find(({ fromMs, toMs }) => fromMs <= at && at < toMs) ?? freeSpan(existing, at, plan);
    if (!existing.includes(span)) missing.push(span);
    at = span.toMs;
  }
  return missing;
}

/** The stretch around an uncovered time: whole widths, cut where a neighbour begins. */
function freeSpan(existing: readonly Span[], atMs: number, { widthDays }: PartitionPlan): Span {
  const width = widthDays * DAY_MS;
  const start = Math.floor(atMs / width) * width;
  return {
    fromMs: Math.max(start, ...existing.filter(({ toMs }) => toMs <= atMs).map(({ toMs }) => toMs)),
    toMs: Math.min(start + width, ...existing.filter(({ fromMs }) => fromMs > atMs).map(({ fromMs }) => fromMs)),
  };
}

/**
 * Makes the partitions of yesterday up to `daysAhead` days from `now`. Resolves to whether all are there: not while a
 * table is too busy to be shut for a moment, or the default partition holds too many rows of a new one.
 */
export async function ensurePartitions(client: ClientBase, now: number, plan: PartitionPlan): Promise<boolean> {
  let complete = true;
  for (const history of HISTORY) {
    for (const span of missingSpans(await listPartitions(client, history.table), now, plan)) {
      const made = await makePartition(client, history, span);
      if (made === undefined) return false;
      complete &&= made;
    }
  }
  return complete;
}

/**
 * Gives rows that lie in a default partition a partition of their own, where they are of this age: not older than
 * `sinceMs`, not later than those made ahead. Stretches with too many rows are left as they are.
 */
export async function adoptStrays(
  client: ClientBase,
  now: number,
  sinceMs: number,
  plan: PartitionPlan,
): Promise<void> {
  const endMs = now + (plan.daysAhead + 1) * DAY_MS;
  for (const history of HISTORY) {
    for (let fromMs = sinceMs; ; ) {
      const { rows } = await client.query<{ key: string }>(
        `select ${history.key} as key from ${history.table}_default where ${history.key} >= $1 and ${history.key} < $2
         order by 1 limit 1`,
        [uuidLowerBound(fromMs), uuidLowerBound(endMs)],
      );
      if (!rows[0]) break;
      const span = freeSpan(await listPartitions(client, history.table), uuidTimeMs(rows[0].key), plan);
      if ((await makePartition(client, history, span)) === undefined) return;
      fromMs = span.toMs;
    }
  }
}

/** Makes a partition and moves what the default one holds of it there. False if that is too much, undefined if busy. */
async function makePartition(
  client: ClientBase,
  { table, key, storage }: HistoryTable,
  span: Span,
): Promise<boolean | undefined> {
  const [from, to] = [uuidLowerBound(span.fromMs), uuidLowerBound(span.toMs)];
  const stray = `from ${table}_default where ${key} >= '${from}' and ${key} < '${to}'`;
  return await shutBriefly(client, table, [`${table}_default`], async () => {
    const { rowCount } = await client.query(`select 1 ${stray} limit ${MOVED_ROWS_MAX + 1}`);
    const strays = rowCount ?? 0;
    if (strays > MOVED_ROWS_MAX) return false;
    const columns = strays > 0 ? await writtenColumns(client, table) : "";
    if (strays > 0) {
      await client.query(`create temporary table moving (like ${table}) on commit drop`);
      await client.query(
        `with gone as (delete ${stray} returning ${columns}) insert into moving (${columns}) select * from gone`,
      );
    }
    const name = `${table}_p${new Date(span.fromMs).toISOString().slice(0, 10).replaceAll("-", "")}`;
    await client.query(
      `create table if not exists ${name} partition of ${table} for values from ('${from}') to ('${to}')
       with (${storage})`,
    );
    if (strays > 0) await client.query(`insert into ${table} (${columns}) select ${columns} from moving`);
    return true;
  });
}

/** The columns of a table but the generated ones. */
async function writtenColumns(client: ClientBase, table: string): Promise<string> {
  const { rows } = await client.query<{ columns: string }>(
    `select string_agg(quote_ident(attname), ', ') as columns from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
    [table],
  );
  return rows[0]?.columns ?? "";
}

/** Drops a partition if `may` still says so while the table is shut; undefined if the table is too busy. */
export async function dropPartition(
  client: ClientBase,
  table: string,
  partition: Partition,
  may: () => Promise<boolean>,
): Promise<boolean | undefined> {
  return await shutBriefly(client, table, [partition.name, `${table}_default`], async () => {
    if (!(await may())) return false;
    await client.query(`drop table ${partition.name}`);
    return true;
  });
}
