/** How much waits in the queue, and for how long: figures for people, bounded in what they cost. */
import type { Pool } from "pg";

export interface QueueFigures {
  /** Deliveries that are due and not under way; that wait for their time; that are held. Each `countMax` at most. */
  readonly due: number;
  readonly waiting: number;
  readonly held: number;
  /** How long the first of those that are due has been so, seconds; 0 if none is. */
  readonly oldestDueSeconds: number;
}

// Each count reads an index, and no more rows of it than are counted. What is held lies with webhooks that take nothing.
const FIGURES = `
select
  (select count(*) from (select from delivery_queue where not held and due_at <= now() limit $1) d)::int as due,
  (select count(*) from (
    select from delivery_queue where not held and due_at > now() and lease_token is null limit $1) w)::int as waiting,
  (select count(*) from (
    select from webhooks w join delivery_queue q on q.destination_id = w.id
    where (w.status <> 'active' or w.forwarding_stopped_at is not null) and q.started_at is null and q.held
    limit $1) h)::int as held,
  greatest(coalesce(extract(epoch from now() - (
    select min(due_at) from delivery_queue where not held)), 0), 0)::float8 as oldest`;

export async function queueFigures(pool: Pool, countMax: number): Promise<QueueFigures> {
  const { rows } = await pool.query<{ due: number; waiting: number; held: number; oldest: number }>({
    name: "queue-figures",
    text: FIGURES,
    values: [countMax],
  });
  const [{ due, waiting, held, oldest } = { due: 0, waiting: 0, held: 0, oldest: 0 }] = rows;
  return { due, waiting, held, oldestDueSeconds: oldest };
}
