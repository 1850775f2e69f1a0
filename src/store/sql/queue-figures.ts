/** How much waits in the queue, and for how long: figures for people, bounded in what they cost. */
import type { Pool } from "pg";
import { FIRST, LATE } from "./lanes.ts";

export interface QueueFigures {
  /**
   * Deliveries that are due and not under way; that wait for their time; that wait in their destination's lane; that are
   * held. Each `countMax` at most.
   */
  readonly due: number;
  readonly waiting: number;
  readonly laned: number;
  readonly held: number;
  /** How long the first of those that are due has been so, seconds; 0 if none is. */
  readonly oldestDueSeconds: number;
  /** Destinations whose circuit is open, and those that are tried. */
  readonly circuits: Readonly<Record<"open" | "half_open", number>>;
}

const outsideLanes = (what: string) => `
  (${what} and ${FIRST} limit $1) union all (${what} and ${LATE} limit $1)`;

// Each count reads an index, and no more rows of it than are counted. What is held lies with webhooks that take nothing.
const FIGURES = `
select
  (select count(*) from (
    select from (${outsideLanes("select from delivery_queue q where q.due_at <= now()")}) d limit $1) d)::int as due,
  (select count(*) from (
    select from (${outsideLanes("select from delivery_queue q where q.due_at > now() and q.lease_token is null")}) w
    limit $1) w)::int as waiting,
  (select count(*) from (
    select from delivery_queue where laned and started_at is null limit $1) l)::int as laned,
  (select count(*) from (
    select from webhooks w join delivery_queue q on q.destination_id = w.id
    where (w.status <> 'active' or w.forwarding_stopped_at is not null) and q.started_at is null and q.held
    limit $1) h)::int as held,
  greatest(coalesce(extract(epoch from now() - (
    select min(at) from (${outsideLanes("select min(q.due_at) as at from delivery_queue q where true")}) o)), 0), 0)::float8
    as oldest,
  (select count(*) from lanes where circuit = 'open')::int as open,
  (select count(*) from lanes where circuit = 'half_open')::int as half_open`;

type Row = Readonly<Record<"due" | "waiting" | "laned" | "held" | "oldest" | "open" | "half_open", number>>;

export async function queueFigures(pool: Pool, countMax: number): Promise<QueueFigures> {
  const { rows } = await pool.query<Row>({
    name: "queue-figures",
    text: FIGURES,
    values: [countMax],
  });
  const [row] = rows;
  if (!row) throw new Error("the queue's figures are missing");
  const { oldest, open, half_open, ...counts } = row;
  return { ...counts, oldestDueSeconds: oldest, circuits: { open, half_open } };
}
