/**
 * Claiming what is due: rows whose time has come and rows whose lease has ended. Leases run on the database's
 * clock. An attempt gets its number here; the attempt that a dead worker left is written down as interrupted.
 */
import type { Pool } from "pg";

/** A delivery that this worker now holds. */
export interface ClaimedDelivery {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly leaseToken: string;
  /** Number of the attempt to make. */
  readonly number: number;
  /** How many attempts the schedule has started, this one included unless it is manual. */
  readonly step: number;
  readonly manual: boolean;
  /** When the schedule goes on after a manual attempt; null if it has ended. */
  readonly resumeAtMs: number | null;
}

export interface Claim {
  readonly claimed: ClaimedDelivery[];
  /** Deliveries that were due but whose webhook is paused, stopped, without url, or gone: give them to `settleBlocked`. */
  readonly blocked: string[];
}

// The limit is taken inside a materialized CTE: it runs exactly once, whatever the plan.
const CLAIM = `
with due as materialized (
  select q.* from delivery_queue q where not q.held and q.due_at <= now()
  order by q.due_at limit $1 for update skip locked
), open as materialized (
  select d.*, w.id is not null and w.status = 'active' and w.forwarding_stopped_at is null and w.url is not null as go
  from due d left join webhooks w on w.id = d.webhook_id
), lost as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, started_at,
    duration_ms, error_code, error_message, next_attempt_at)
  select delivery_id, attempts, organization_id, webhook_id, case when manual then 'manual' else 'scheduled' end,
    'interrupted', started_at, least(extract(epoch from now() - started_at) * 1000, 2147483647)::int, 'interrupted',
    'the worker that made this attempt died before it recorded the outcome', now()
  from open where started_at is not null and lease_token is not null
  on conflict do nothing
  returning webhook_id, number
), counted as (
  update webhook_counters c set delivery_count = c.delivery_count + l.first_attempts,
    last_delivery_at = greatest(c.last_delivery_at, now())
  from (select webhook_id, count(*) filter (where number = 1) as first_attempts from lost group by webhook_id) l
  where c.webhook_id = l.webhook_id
), leased as (
  update delivery_queue q set lease_token = o.token, due_at = now() + $2 * interval '1 millisecond',
    attempts = q.attempts + 1, step = q.step + (not q.manual)::int, started_at = now()
  from (select delivery_id, gen_random_uuid() as token from open where go) o
  where q.delivery_id = o.delivery_id
  returning q.delivery_id, q.organization_id, q.webhook_id, q.event_id, q.lease_token, q.attempts, q.step, q.manual,
    q.resume_at
), shown as (
  update deliveries d set status = case when o.go then 'delivering' else 'pending' end, attempt_count = o.attempts,
    next_attempt_at = case when not o.go then o.due_at end, updated_at = now()
  from open o where d.id = o.delivery_id
), unleased as (
  update delivery_queue q set lease_token = null, started_at = null
  from open o where q.delivery_id = o.delivery_id and not o.go and q.lease_token is not null
)
select o.delivery_id, l.organization_id, l.webhook_id, l.event_id, l.lease_token, l.attempts, l.step, l.manual,
  extract(epoch from l.resume_at) * 1000 as resume_at_ms
from open o left join leased l using (delivery_id)`;

interface ClaimRow {
  delivery_id: string;
  organization_id: string;
  webhook_id: string;
  event_id: string;
  lease_token: string | null;
  attempts: number;
  step: number;
  manual: boolean;
  resume_at_ms: string | null;
}

/** Claims up to `limit` deliveries for `leaseMs` milliseconds. */
export async function claimDue(pool: Pool, limit: number, leaseMs: number): Promise<Claim> {
  const { rows } = await pool.query<ClaimRow>({ name: "claim", text: CLAIM, values: [limit, leaseMs] });
  const claimed: ClaimedDelivery[] = [];
  const blocked: string[] = [];
  for (const row of rows) {
    if (row.lease_token === null) blocked.push(row.delivery_id);
    else claimed.push(toClaimed(row, row.lease_token));
  }
  return { claimed, blocked };
}

function toClaimed(row: ClaimRow, leaseToken: string): ClaimedDelivery {
  return {
    deliveryId: row.delivery_id,
    organizationId: row.organization_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    leaseToken,
    number: row.attempts,
    step: row.step,
    manual: row.manual,
    resumeAtMs: row.resume_at_ms === null ? null : Number(row.resume_at_ms),
  };
}

/** Milliseconds until the next row is due, or null if nothing waits. */
export async function untilNextDue(pool: Pool): Promise<number | null> {
  const { rows } = await pool.query<{ ms: string | null }>({
    name: "until-next-due",
    text: "select extract(epoch from min(due_at) - now()) * 1000 as ms from delivery_queue where not held",
    values: [],
  });
  const ms = rows[0]?.ms;
  return ms === null || ms === undefined ? null : Number(ms);
}
