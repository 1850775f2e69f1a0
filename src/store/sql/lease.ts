/** Keeping, beginning anew and giving back leases. */
import type { Pool } from "pg";
import { FIRST, LATE, METERED } from "./lanes.ts";

/** A lease that this worker holds. */
export interface Lease {
  readonly deliveryId: string;
  readonly leaseToken: string;
}

const pairs = (leases: readonly Lease[]) => [
  leases.map((lease) => lease.deliveryId),
  leases.map((lease) => lease.leaseToken),
];

// Rows are locked in the order of their ids, as by every statement that locks several.
const EXTEND = `
with held as materialized (
  select q.delivery_id
  from unnest($1::uuid[], $2::uuid[]) as l (delivery_id, lease_token)
  join delivery_queue q on q.delivery_id = l.delivery_id and q.lease_token = l.lease_token
  order by q.delivery_id for update of q
)
update delivery_queue q set due_at = greatest(q.due_at, now() + $3 * interval '1 millisecond')
from held h where q.delivery_id = h.delivery_id
returning q.lease_token`;

/** Extends leases by `leaseMs` from now; resolves to the tokens of those still held. */
export async function extendLeases(pool: Pool, leases: readonly Lease[], leaseMs: number): Promise<Set<string>> {
  const { rows } = await pool.query<{ lease_token: string }>({
    name: "extend-leases",
    text: EXTEND,
    values: [...pairs(leases), leaseMs],
  });
  return new Set(rows.map((row) => row.lease_token));
}

/**
 * Ends leases early that reach further than any can: they were taken before the database's clock was set back, and
 * whoever died over them would be waited for until it has caught up. A lease, or a quick wait and the lease behind
 * it, reaches twice `leaseMs` at the most. A living worker extends what was its own before that has ended anew.
 */
export async function shortenLeases(pool: Pool, leaseMs: number): Promise<void> {
  await pool.query(
    `update delivery_queue set due_at = now() + $1 * interval '1 millisecond'
     where delivery_id = any (array(select delivery_id from delivery_queue q
       where (${FIRST} or ${LATE}) and q.due_at > now() + 2 * $1 * interval '1 millisecond' and q.lease_token is not null
       order by q.delivery_id for update skip locked))`,
    [leaseMs],
  );
}

/** The database's clock, milliseconds since the Unix epoch. */
export async function databaseNow(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ ms: string }>("select extract(epoch from clock_timestamp()) * 1000 as ms");
  return Number(rows[0]?.ms);
}

const BEGIN = `
with begun as (
  update delivery_queue q set due_at = now() + $3 * interval '1 millisecond', started_at = now(),
    attempts = q.attempts + 1, step = q.step + 1
  from webhooks w
  where q.delivery_id = $1 and q.lease_token = $2 and w.id = q.webhook_id and w.status = 'active'
    and w.forwarding_stopped_at is null and w.url is not null
    and not coalesce(w.delivery ?| ${METERED}, false)
    and not exists (select from lanes l where l.destination_id = q.destination_id)
  returning q.delivery_id
)
update deliveries d set status = 'delivering', next_attempt_at = null, updated_at = now()
from begun b where d.id = b.delivery_id
returning d.id`;

/**
 * Begins the next scheduled attempt of a held delivery. False if the lease was lost, the webhook takes none now, or the
 * destination has a lane or limits, and it goes there.
 */
export async function beginAttempt(pool: Pool, lease: Lease, leaseMs: number): Promise<boolean> {
  const { rows } = await pool.query({
    name: "begin-attempt",
    text: BEGIN,
    values: [lease.deliveryId, lease.leaseToken, leaseMs],
  });
  return rows.length === 1;
}

// A quick wait holds its lease for `leaseMs` beyond the time at which the next attempt is due.
const GIVE_BACK = `
with returned as (
  update delivery_queue q set lease_token = null, laned = false,
    due_at = case when q.started_at is null then greatest(now(), q.due_at - $3 * interval '1 millisecond') else now() end,
    attempts = q.attempts - (q.started_at is not null)::int,
    step = q.step - (q.started_at is not null and not q.manual)::int, started_at = null
  from unnest($1::uuid[], $2::uuid[]) as l (delivery_id, lease_token)
  where q.delivery_id = l.delivery_id and q.lease_token = l.lease_token
  returning q.delivery_id, q.due_at
)
update deliveries d set status = 'pending', next_attempt_at = r.due_at, updated_at = now()
from returned r where d.id = r.delivery_id`;

/** Gives leases back whose attempt was never sent, so that another worker may take them. */
export async function giveBackLeases(pool: Pool, leases: readonly Lease[], leaseMs: number): Promise<void> {
  await pool.query({ name: "give-back-leases", text: GIVE_BACK, values: [...pairs(leases), leaseMs] });
}
