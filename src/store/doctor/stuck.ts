/**
 * Work that nobody does. Being late is no proof: so what looks late is looked at again, and counts only if nothing has
 * moved meanwhile.
 */
import { releaseStep } from "../sql/hold.ts";
import { FIRST, LATE, mendLanes, WAITING_IN_LANES } from "../sql/lanes.ts";
import { purgeStep } from "../sql/purge.ts";
import type { Examination } from "./examination.ts";

/** Late things that are named; more are not counted. */
const LATE_MAX = 1_000;

// A worker that lives and has overdue deliveries before it holds a lease on some of them. One of each lane stands for all.
const OVERDUE = `
select id, '' as mark from (
  (select q.delivery_id as id, q.due_at from delivery_queue q
    where (${FIRST} or ${LATE}) and q.due_at < now() - $1 * interval '1 millisecond' order by q.due_at limit $2)
  union all
  (select q.delivery_id, q.due_at from lanes l cross join lateral (
      select * from delivery_queue where destination_id = l.destination_id and laned and started_at is null limit 1) q
    where l.next_at < now() - $1 * interval '1 millisecond' order by l.next_at limit $2)) late
where not exists (
  select 1 from delivery_queue q where (${FIRST} or ${LATE}) and q.lease_token is not null and q.due_at > now()
    and q.due_at <= now() + $3 * interval '1 millisecond')
order by due_at limit $2`;

const LANES = `
select destination_id as id, '' as mark from (${WAITING_IN_LANES}) w
where not exists (select from lanes l where l.destination_id = w.destination_id)
  and $1::int is not null and $3::int is not null limit $2`;

// Releases go in the order of their times, so the first that is held tells whether they go on.
const RELEASES = `
select r.webhook_id as id, r.xmin::text || coalesce((
    select min(q.due_at)::text from delivery_queue q
    where q.destination_id = r.webhook_id and q.started_at is null and q.held), '') as mark
from releases r join webhooks w on w.id = r.webhook_id
where w.status = 'active' and w.forwarding_stopped_at is null and $1::int is not null and $3::int is not null limit $2`;

// One webhook is purged at a time, its newest rows first: only the one whose turn it is can be stuck.
const PURGES = `
select p.webhook_id as id, p.due_at::text || coalesce((
    select e.id::text from events e where e.webhook_id = p.webhook_id order by e.id desc limit 1), '') || coalesce((
    select d.id::text from deliveries d where d.webhook_id = p.webhook_id order by d.id desc limit 1), '') as mark
from (select * from purges where due_at < now() - $1 * interval '1 millisecond' order by due_at limit 1) p
where $3::int is not null limit $2`;

// A job that has to wait for a destination is due again each time it has looked.
const JOBS = `
select id, position || ' ' || next_at as mark from bulk_jobs
where state = 'running' and next_at < now() - $1 * interval '1 millisecond' and $3::int is not null
order by next_at limit $2`;

const LOOKS = {
  overdue: OVERDUE,
  lane_missing: LANES,
  release_stuck: RELEASES,
  purge_stuck: PURGES,
  job_stuck: JOBS,
} as const;
type Kind = keyof typeof LOOKS;
const KINDS = Object.keys(LOOKS) as Kind[];

/** What looks late now: kind and id → a mark that changes when there is progress. */
async function look({ client, options }: Examination): Promise<Map<string, string>> {
  const late = new Map<string, string>();
  for (const kind of KINDS) {
    const values = [options.limits.doctorOverdueMs, LATE_MAX, options.limits.doctorLeaseMsMax];
    const { rows } = await client.query<{ id: string; mark: string }>(LOOKS[kind], values);
    for (const { id, mark } of rows) late.set(`${kind} ${id}`, mark);
  }
  return late;
}

export async function examineStuck(examination: Examination): Promise<void> {
  const { options, findings } = examination;
  const before = await look(examination);
  if (before.size === 0) return;
  const kinds = KINDS.filter((kind) => [...before.keys()].some((key) => key.startsWith(kind)));
  await options.wait(options.limits.doctorRecheckMs, kinds);
  if (options.signal.aborted) return;
  const after = await look(examination);
  const stuck = [...after].filter(([key, mark]) => before.get(key) === mark).map(([key]) => key.split(" "));
  for (const kind of KINDS) {
    const ids = stuck.filter(([found]) => found === kind).map(([, id = ""]) => id);
    if (ids.length > 0) findings.add(kind, ids, options.mend ? await mend(examination, kind, ids.length) : 0);
  }
}

/** Does the work itself; resolves to how many of the `count` are done. */
async function mend({ pool, options }: Examination, kind: Kind, count: number): Promise<number> {
  if (kind === "overdue" || kind === "job_stuck") return 0;
  if (kind === "lane_missing") return await mendLanes(pool);
  const { releaseBatchRows, purgeBatchRows: rows, purgeLateMs: lateMs, purgeRecheckMs: recheckMs } = options.limits;
  const step = () =>
    kind === "release_stuck" ? releaseStep(pool, releaseBatchRows) : purgeStep(pool, { rows, lateMs, recheckMs });
  while (!options.signal.aborted && (await step()));
  return options.signal.aborted ? 0 : count;
}
