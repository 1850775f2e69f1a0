/**
 * Deliveries: the unfinished ones are queued, attempts are numbered without gaps, and counts agree with both. Each page
 * is one snapshot, and every writer keeps delivery, attempts and queue in step.
 */

import type { Tally } from "./counters.ts";
import { type Examination, NO_ID, walk } from "./examination.ts";
import { recount } from "./recount.ts";

const UNFINISHED = "('pending', 'delivering', 'paused')";

// What is left of a deleted webhook is about to be purged.
const PAGE = `
with page as materialized (
  select id, webhook_id, status, attempt_count from deliveries where id > $1 order by id limit $2
), recorded as materialized (
  select delivery_id, count(*)::int as attempts, max(number) as highest from attempts
  where delivery_id > $1 and delivery_id <= (select id from page order by id desc limit 1) group by delivery_id
)
select p.id, p.webhook_id, coalesce(r.attempts, 0) > 0 as attempted, case
    when w.id is null then null
    when p.status in ${UNFINISHED} and q.delivery_id is null then 'delivery_without_queue'
    when r.attempts <> r.highest then 'attempt_gap'
    when p.attempt_count <> coalesce(r.attempts, 0) then 'attempt_count'
  end as problem
from page p left join recorded r on r.delivery_id = p.id left join delivery_queue q on q.delivery_id = p.id
  left join webhooks w on w.id = p.webhook_id
order by p.id`;

interface Row {
  readonly id: string;
  readonly webhook_id: string;
  readonly attempted: boolean;
  readonly problem: "delivery_without_queue" | "attempt_gap" | "attempt_count" | null;
}

/** `tally` counts the deliveries of each webhook that have had an attempt. */
export async function examineDeliveries(examination: Examination, tally: Tally): Promise<void> {
  const { client, pool, options, findings } = examination;
  await walk(examination, NO_ID, async (after) => {
    const { rows } = await client.query<Row>(PAGE, [after, options.limits.doctorBatchRows]);
    const withProblem = (kind: Row["problem"]) => rows.filter(({ problem }) => problem === kind).map(({ id }) => id);
    for (const { webhook_id, attempted } of rows) if (attempted) tally.add(webhook_id);
    const stranded = withProblem("delivery_without_queue");
    findings.add("delivery_without_queue", stranded, options.mend ? await requeue(examination, stranded) : 0);
    findings.add("attempt_gap", withProblem("attempt_gap"), 0);
    const miscounted = withProblem("attempt_count");
    findings.add("attempt_count", miscounted, options.mend ? await recount(pool, miscounted) : 0);
    return rows.at(-1)?.id;
  });
}

// Not held, whatever its status: the claim holds it if its webhook takes none.
const REQUEUE = `
with queued as (
  insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts, step)
  select d.id, d.organization_id, d.webhook_id, d.destination_id, d.event_id, coalesce(d.next_attempt_at, now()),
    d.attempt_count, d.attempt_count
  from deliveries d join webhooks w on w.id = d.webhook_id
  where d.id = any ($1::uuid[]) and d.status in ${UNFINISHED}
    and not exists (select 1 from delivery_queue q where q.delivery_id = d.id)
  on conflict do nothing
  returning delivery_id, due_at
)
update deliveries d set status = 'pending', next_attempt_at = q.due_at, updated_at = now()
from queued q where d.id = q.delivery_id`;

async function requeue({ client }: Examination, ids: readonly string[]): Promise<number> {
  if (ids.length === 0) return 0;
  return (await client.query(REQUEUE, [ids])).rowCount ?? 0;
}
