/**
 * Lanes: where the due deliveries of a destination wait that must not have all it could take at once. They are served
 * organization by organization, and within one the lane that was served longest ago first. The lane's row, held while
 * it is served, makes its bounds hold for all replicas together, on the database's clock.
 */
import type { Pool } from "pg";

/** Settings of a webhook that give its destination a lane. */
export const METERED = "array['rateLimit', 'maxConcurrency', 'orderingKey']";

/** When a lane `l` that may have slept is looked at. */
export const AWAKE = "case when l.next_at = 'infinity' then now() else l.next_at end";

/**
 * CTEs that make the lanes of what was parked from `source` (destination_id, organization_id), and wake those that sleep.
 * Who serves a lane at this moment does not see what was parked: so the lane is taken after it, whatever it shows.
 */
export const lanesFor = (source: string): string => `laned as materialized (
  select distinct destination_id, organization_id from ${source}
), made as (
  insert into lanes as l (destination_id, organization_id, next_at)
  select destination_id, organization_id, now() from laned order by destination_id
  on conflict (destination_id) do update set next_at = ${AWAKE}
)`;

/** Rows in no lane: those that wait for a later try, and all others. Each is the condition of an index. */
export const LATE = "not q.held and not q.laned and q.step > 0 and q.started_at is null";
export const FIRST = `not q.held and not (q.laned and q.started_at is null) and not (q.step > 0 and q.started_at is null)`;

/** A destination and whose it is. */
export interface Destination {
  readonly webhookId: string;
  readonly organizationId: string;
}

const parkable = (which: string) => `
  (select q.delivery_id from delivery_queue q
    where ${which} and q.lease_token is null and q.due_at <= now()
      and (q.destination_id = any ($1::uuid[]) or q.organization_id = any ($2::uuid[]))
    order by q.due_at limit $3 for update skip locked)`;

const PARK = `
with parked as (
  update delivery_queue set laned = true
  where delivery_id = any (array(${parkable(LATE)})) or delivery_id = any (array(${parkable(FIRST)}))
  returning destination_id, organization_id
), ${lanesFor("parked")}
select destination_id, organization_id from laned`;

/**
 * Moves due deliveries of these destinations and organizations to their lanes, up to `limit` first tries and as many
 * later ones; resolves to whose.
 */
export async function parkDue(
  pool: Pool,
  {
    destinations,
    organizations,
    limit,
  }: Readonly<Record<"destinations" | "organizations", readonly string[]>> & {
    readonly limit: number;
  },
): Promise<Destination[]> {
  const values = [destinations, organizations, limit];
  const { rows } = await pool.query<DestinationRow>({ name: "park-due", text: PARK, values });
  return rows.map((row) => ({ webhookId: row.destination_id, organizationId: row.organization_id }));
}

interface DestinationRow {
  readonly destination_id: string;
  readonly organization_id: string;
}

const ENSURE = `
with ${lanesFor("unnest($1::uuid[], $2::uuid[]) d (destination_id, organization_id)")}
select from laned`;

/** Makes the lanes of deliveries that were committed, unless they are there: one may have been removed meanwhile. */
export async function ensureLanes(pool: Pool, destinations: readonly Destination[]): Promise<void> {
  const values = [destinations.map(({ webhookId }) => webhookId), destinations.map((one) => one.organizationId)];
  await pool.query({ name: "ensure-lanes", text: ENSURE, values });
}

const UNTIL_NEXT_LANE = `
select extract(epoch from min(next_at) - now()) * 1000 as ms from lanes
where next_at < 'infinity' and destination_id <> all ($1::uuid[]) and organization_id <> all ($2::uuid[])`;

/** Milliseconds until the next lane outside the exceptions is due, or null. */
export async function untilNextLane(
  pool: Pool,
  {
    except,
    exceptOrganizations,
  }: { readonly except: readonly string[]; readonly exceptOrganizations: readonly string[] },
): Promise<number | null> {
  const values = [except, exceptOrganizations];
  const { rows } = await pool.query<{ ms: string | null }>({ name: "until-next-lane", text: UNTIL_NEXT_LANE, values });
  const ms = rows[0]?.ms;
  return ms === null || ms === undefined ? null : Number(ms);
}

/** Has a lane looked at whose bounds are others now. The destination's id is its parameter. */
export const ROUSE_LANE = "update lanes set next_at = now() where destination_id = ? and circuit is null";

/** The destinations in whose lanes something waits (destination_id, organization_id), one look at an index for each. */
export const WAITING_IN_LANES = `
with recursive waiting as (
  (select destination_id, organization_id from delivery_queue where laned and started_at is null
    order by destination_id limit 1)
  union all
  select next.* from waiting w cross join lateral (
    select destination_id, organization_id from delivery_queue
    where laned and started_at is null and destination_id > w.destination_id order by destination_id limit 1) next
)
select * from waiting`;

const MEND = `
with waiting as materialized (
  select w.* from (${WAITING_IN_LANES}) w left join lanes l using (destination_id)
  where coalesce(l.next_at = 'infinity', true)
), ${lanesFor("waiting")}
select count(*)::int as n from laned d where not exists (select from lanes l where l.destination_id = d.destination_id)`;

/**
 * Makes lanes that are missing, and wakes those that sleep over what waits: a lane may have been removed, or put to
 * sleep, just when a delivery came, and what it waited for may be gone. Resolves to how many were missing.
 */
export async function mendLanes(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ n: number }>(MEND);
  return rows[0]?.n ?? 0;
}

/** A lane that sleeps lasts while anything waits in it or runs, and while its circuit or its bucket says more than nothing. */
const SWEEP = `
delete from lanes l where l.next_at = 'infinity' and l.circuit is null and coalesce(l.paid_until <= now(), true)
  and not exists (
    select from delivery_queue q where q.destination_id = l.destination_id and q.laned and q.started_at is null)
  and not exists (
    select from delivery_queue q where q.destination_id = l.destination_id and q.laned and q.started_at is not null)`;

/** Removes lanes of no more use, and mends the others. */
export async function tendLanes(pool: Pool): Promise<void> {
  await pool.query({ name: "sweep-lanes", text: SWEEP });
  await mendLanes(pool);
}
