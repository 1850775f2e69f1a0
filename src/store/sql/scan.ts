/**
 * Looking for what matches a filter, newest first, in steps that examine a bounded number of rows each. So no filter
 * costs more than its caller allows, whatever the history.
 */
import type { Pool } from "pg";

/** Where a step goes on and how far it goes. */
export interface StepBounds {
  /** Rows with ids below this one; null: all. */
  readonly after: string | null;
  /** Rows that are examined. */
  readonly rows: number;
  /** Ids that are wanted. */
  readonly wanted: number;
}

export interface Step {
  /** Of rows that match, newest first. */
  readonly ids: readonly string[];
  readonly examined: number;
  /** Of the last row that was examined; null if there are no more. */
  readonly last: string | null;
}

/** Values of a statement that is put together. */
export class Parameters {
  readonly values: unknown[] = [];

  /** The placeholder of one more value. */
  add(value: unknown): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** Ids in a range: from one on, and below another. */
export interface IdRange {
  readonly from: string | null;
  readonly before: string | null;
}

/** The condition that `column` lies in the range and below `after`; begins with "and" where there is one. */
export function inRange(column: string, { from, before }: IdRange, after: string | null, parameters: Parameters) {
  const bounds = [
    ["<", after],
    ["<", before],
    [">=", from],
  ] as const;
  return bounds
    .map(([relation, id]) => (id === null ? "" : `and ${column} ${relation} ${parameters.add(id)}`))
    .join(" ");
}

const FIRST_ID = "00000000-0000-0000-0000-000000000000";
const LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/**
 * The rows of one scope, newest first: the condition and the order. They are asked for as a range of both columns of the
 * index (scope, id), because as an equation they leave the planner free to read another index of the id alone, with
 * everybody's rows, until it has met enough of a scope that has few.
 */
export function ofScope(
  columns: { readonly scope: string; readonly id: string },
  scope: string,
  { from, before }: IdRange,
  after: string | null,
  parameters: Parameters,
): string {
  const first = parameters.add(from ?? FIRST_ID);
  const end = parameters.add(
    [after, before].reduce<string>((least, id) => (id !== null && id < least ? id : least), LAST_ID),
  );
  const key = `(${columns.scope}, ${columns.id})`;
  // The bounds of the id alone choose partitions.
  return `${key} >= (${scope}, ${first}::uuid) and ${key} < (${scope}, ${end}::uuid)
    and ${columns.id} >= ${first}::uuid and ${columns.id} < ${end}::uuid
    order by ${columns.scope} desc, ${columns.id} desc`;
}

/** The condition that a type is the one of the pattern, or lies below its prefix. */
export function ofType(column: string, pattern: string, parameters: Parameters): string {
  if (!pattern.endsWith(".*")) return `${column} = ${parameters.add(pattern)}`;
  return `starts_with(${column}, ${parameters.add(pattern.slice(0, -1))})`;
}

/** Rows to examine (newest first, each with its `id`), and what those that match are, as `c`. */
export interface Statement {
  readonly candidates: string;
  readonly conditions: readonly string[];
  readonly parameters: Parameters;
}

/** Examines the rows of the statement. */
export async function takeStep(
  pool: Pool,
  { candidates, conditions, parameters }: Statement,
  { rows, wanted }: StepBounds,
): Promise<Step> {
  const { rows: found } = await pool.query<{ ids: string[]; last: string | null; examined: number }>(
    `with c as materialized (${candidates} limit ${parameters.add(rows)})
     select array(select id from c where ${conditions.join(" and ")} order by id desc limit ${parameters.add(wanted)}) as ids,
       (select id from c order by id limit 1) as last, (select count(*) from c)::int as examined`,
    parameters.values,
  );
  const { ids, last, examined } = found[0] ?? { ids: [], last: null, examined: 0 };
  return { ids, examined, last: examined < rows ? null : last };
}
