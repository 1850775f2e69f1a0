/** The queue: every row has its delivery, and they agree. Each page is one snapshot, and every writer keeps both in step. */
import { type Examination, NO_ID, walk } from "./examination.ts";
import type { FindingKind } from "./findings.ts";
import { holdQueued } from "./hold-queued.ts";
import { recount } from "./recount.ts";

/** The status of a delivery as its queue row has it; a paused one may also wait for the claim that will hold it. */
const SHOWN = `case when q.held then 'paused' when q.started_at is not null then 'delivering' else 'pending' end`;

// A webhook that is gone needs no delivery: the claim ends what came late.
const PAGE = `
with q as materialized (
  select * from delivery_queue where delivery_id > $1 order by delivery_id limit $2
)
select q.delivery_id as id, case
    when d.id is null then case when w.id is not null then 'queue_without_delivery' end
    when q.held and w.status = 'active' and w.forwarding_stopped_at is null and r.webhook_id is null
      then 'held_without_release'
    when q.lease_token is not null and q.due_at > now() + $3 * interval '1 millisecond' then 'lease_too_long'
    when q.attempts <> d.attempt_count + (q.started_at is not null)::int then 'queue_attempts'
    when d.status <> ${SHOWN} and not (d.status = 'paused' and q.lease_token is null) then 'queue_state'
  end as problem
from q left join deliveries d on d.id = q.delivery_id left join webhooks w on w.id = q.webhook_id
  left join releases r on r.webhook_id = q.webhook_id
order by q.delivery_id`;

type Problem = "queue_without_delivery" | "held_without_release" | "lease_too_long" | "queue_attempts" | "queue_state";

export async function examineQueue(examination: Examination): Promise<void> {
  const { client, options, findings } = examination;
  await walk(examination, NO_ID, async (after) => {
    const values = [after, options.limits.doctorBatchRows, options.limits.doctorLeaseMsMax];
    const { rows } = await client.query<{ id: string; problem: Problem | null }>(PAGE, values);
    for (const [kind, mend] of Object.entries(MENDS) as [Problem, Mend][]) {
      const ids = rows.filter(({ problem }) => problem === kind).map(({ id }) => id);
      if (ids.length > 0) findings.add(kind, ids, options.mend ? await mend(examination, ids) : 0);
    }
    return rows.at(-1)?.id;
  });
}

type Mend = (examination: Examination, ids: readonly string[]) => Promise<number>;

const REWRITE = `
insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
  attempt_count, next_attempt_at, created_at, updated_at)
select q.delivery_id, q.organization_id, q.webhook_id, q.destination_id, q.event_id, e.type, coalesce(w.url, ''), ${SHOWN},
  q.attempts - (q.started_at is not null)::int, case when q.started_at is null then q.due_at end, now(), now()
from delivery_queue q join webhooks w on w.id = q.webhook_id
  join events e on e.organization_id = q.organization_id and e.id = q.event_id
where q.delivery_id = any ($1::uuid[]) and not exists (select 1 from deliveries d where d.id = q.delivery_id)
on conflict do nothing`;

const REMOVE = `
delete from delivery_queue q where q.delivery_id = any ($1::uuid[]) and q.lease_token is null
  and not exists (select 1 from deliveries d where d.id = q.delivery_id)
  and not exists (select 1 from events e where e.organization_id = q.organization_id and e.id = q.event_id)`;

// Whoever changes the queue row holds it: what is locked here is as it will stay.
const SHOW = `
with q as materialized (
  select * from delivery_queue where delivery_id = any ($1::uuid[]) order by delivery_id for update skip locked
)
update deliveries d set status = ${SHOWN}, completed_at = null, updated_at = now(),
  next_attempt_at = case when q.started_at is null then q.due_at end
from q where d.id = q.delivery_id and d.status <> ${SHOWN}`;

// A webhook that takes none after all keeps them held, and the note goes.
const RELEASE = `
insert into releases (webhook_id, organization_id)
select distinct w.id, w.organization_id from delivery_queue q join webhooks w on w.id = q.webhook_id
where q.delivery_id = any ($1::uuid[]) and q.held on conflict do nothing`;

const SHORTEN = `
update delivery_queue set due_at = now() + $2 * interval '1 millisecond'
where delivery_id = any ($1::uuid[]) and lease_token is not null and due_at > now() + $3 * interval '1 millisecond'`;

const MENDS = {
  queue_without_delivery: async ({ pool }, ids) =>
    await holdQueued(pool, ids, async (client, held) => {
      const written = await client.query(REWRITE, [held]);
      const removed = await client.query(REMOVE, [held]);
      return (written.rowCount ?? 0) + (removed.rowCount ?? 0);
    }),
  held_without_release: async ({ client }, ids) => {
    await client.query(RELEASE, [ids]);
    return ids.length;
  },
  lease_too_long: async ({ client, options }, ids) =>
    (await client.query(SHORTEN, [ids, options.leaseMs, options.limits.doctorLeaseMsMax])).rowCount ?? 0,
  queue_attempts: async ({ pool }, ids) => await recount(pool, ids),
  queue_state: async ({ client }, ids) => (await client.query(SHOW, [ids])).rowCount ?? 0,
} as const satisfies Readonly<Partial<Record<FindingKind, Mend>>>;
