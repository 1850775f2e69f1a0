/**
 * Claiming what is due: rows whose time has come and rows whose lease has ended. Leases run on the database's
 * clock. An attempt gets its number here; the attempt that a dead worker left is written down as interrupted.
 */
import type { Pool } from "pg";
import type { AttemptTrigger } from "../entities/delivery.ts";

/** A delivery that this worker now holds. */
export interface ClaimedDelivery {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly leaseToken: string;
  /** How long it had been due, milliseconds. */
  readonly lateMs: number;
  /** Number of the attempt to make. */
  readonly number: number;
  /** How many attempts the schedule has started, this one included unless it is manual. */
  readonly step: number;
  /** Beside the schedule, which goes on where it was. */
  readonly manual: boolean;
  /** Whether the schedule goes on after a manual attempt. */
  readonly resumes: boolean;
  readonly trigger: AttemptTrigger;
}

/** An attempt that a dead worker left, now written down. */
export interface LostAttempt {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly number: number;
  readonly trigger: AttemptTrigger;
  /** From its beginning until now, milliseconds. */
  readonly durationMs: number;
  /** Whether the delivery has failed with it. */
  readonly isLast: boolean;
}

export interface Claim {
  /** Rows that were due, whatever became of them. */
  readonly found: number;
  readonly claimed: ClaimedDelivery[];
  readonly lost: LostAttempt[];
  /** Deliveries that were due but whose webhook is paused, stopped, without url, or gone: give them to `settleBlocked`. */
  readonly blocked: string[];
}

// The limit is taken inside a materialized CTE: it runs exactly once, whatever the plan. The update of the
// partitioned table stands last, never in a CTE: see partitions.ts.
const CLAIM = `
with due as materialized (
  select q.* from delivery_queue q
  where not q.held and q.due_at <= now() and q.destination_id <> all ($3::uuid[])
  order by q.due_at limit $1 for update skip locked
), judged as materialized (
  select d.*, d.started_at is not null and not d.manual and d.step >= $5 +
      coalesce((w.delivery->>'maxAttempts')::int, jsonb_array_length(w.delivery->'schedule'), $4) as spent,
    w.id is not null and w.status = 'active' and w.forwarding_stopped_at is null and w.url is not null as takes
  from due d left join webhooks w on w.id = d.webhook_id
), open as materialized (
  -- What is blocked, and nobody held, stays as it is shown: settleBlocked shows what becomes of it.
  select *, takes and not spent as go, takes or spent or lease_token is not null as changes from judged
), lost as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, started_at,
    duration_ms, error_code, error_message, next_attempt_at)
  select delivery_id, attempts, organization_id, webhook_id, coalesce(trigger, 'scheduled'), 'interrupted',
    started_at, least(extract(epoch from now() - started_at) * 1000, 2147483647)::int, 'interrupted',
    'the worker that made this attempt died before it recorded the outcome', case when not spent then now() end
  from open where started_at is not null and lease_token is not null
  on conflict do nothing
  returning webhook_id, number
), locked as materialized (
  select c.webhook_id from webhook_counters c where c.webhook_id in (select webhook_id from lost)
  order by c.webhook_id for update
), counted as (
  update webhook_counters c set delivery_count = c.delivery_count + l.first_attempts,
    last_delivery_at = greatest(c.last_delivery_at, now())
  from (select webhook_id, count(*) filter (where number = 1) as first_attempts from lost group by webhook_id) l
  where c.webhook_id = l.webhook_id and c.webhook_id in (select webhook_id from locked)
), exhausted as (
  delete from delivery_queue q using open o where q.delivery_id = o.delivery_id and o.spent
), leased as (
  update delivery_queue q set lease_token = o.token, due_at = now() + $2 * interval '1 millisecond',
    attempts = q.attempts + 1, step = q.step + (not q.manual)::int, started_at = now()
  from (select delivery_id, gen_random_uuid() as token from open where go) o
  where q.delivery_id = o.delivery_id
  returning q.delivery_id, q.organization_id, q.webhook_id, q.event_id, q.lease_token, q.attempts, q.step, q.manual,
    q.resume_at, q.trigger
), unleased as (
  update delivery_queue q set lease_token = null, started_at = null
  from open o where q.delivery_id = o.delivery_id and not o.go and not o.spent and q.lease_token is not null
)
update deliveries d set attempt_count = o.attempts,
  status = case when o.go then 'delivering' when o.spent then 'failed' when o.changes then 'pending' else d.status end,
  next_attempt_at = case when not o.changes then d.next_attempt_at when not o.go and not o.spent then o.due_at end,
  completed_at = case when o.spent then now() when not o.changes then d.completed_at end,
  updated_at = case when o.changes then now() else d.updated_at end
from open o left join leased l using (delivery_id) where d.id = o.delivery_id
returning o.delivery_id, o.spent, o.organization_id, o.webhook_id, o.event_id, l.lease_token, l.attempts, l.step,
  o.manual, l.resume_at is not null as resumes, coalesce(o.trigger, 'scheduled') as trigger,
  extract(epoch from now() - o.due_at)::float8 * 1000 as late_ms,
  case when o.lease_token is not null then extract(epoch from now() - o.started_at)::float8 * 1000 end as lost_ms,
  o.attempts as attempts_before`;

interface ClaimRow {
  delivery_id: string;
  spent: boolean;
  organization_id: string;
  webhook_id: string;
  event_id: string;
  lease_token: string | null;
  attempts: number;
  step: number;
  manual: boolean;
  resumes: boolean;
  trigger: AttemptTrigger;
  late_ms: number;
  lost_ms: number | null;
  attempts_before: number;
}

export interface ClaimOptions {
  readonly limit: number;
  /** How long the claimed deliveries are leased, milliseconds. */
  readonly leaseMs: number;
  /** Attempts of the schedule, where the webhook has none of its own. */
  readonly stepsMax: number;
  /** A delivery that is lost after so many more attempts has failed. */
  readonly lostMax: number;
  /** Destinations that take no more now. */
  readonly except: readonly string[];
}

/** Claims what is due. */
export async function claimDue(
  pool: Pool,
  { limit, leaseMs, stepsMax, lostMax, except }: ClaimOptions,
): Promise<Claim> {
  const values = [limit, leaseMs, except, stepsMax, lostMax];
  const { rows } = await pool.query<ClaimRow>({ name: "claim", text: CLAIM, values });
  const claimed: ClaimedDelivery[] = [];
  const lost: LostAttempt[] = [];
  const blocked: string[] = [];
  for (const row of rows) {
    if (row.lost_ms !== null) lost.push(toLost(row, row.lost_ms));
    if (row.spent) continue;
    if (row.lease_token === null) blocked.push(row.delivery_id);
    else claimed.push(toClaimed(row, row.lease_token));
  }
  return { found: rows.length, claimed, lost, blocked };
}

function toLost(row: ClaimRow, durationMs: number): LostAttempt {
  return {
    deliveryId: row.delivery_id,
    organizationId: row.organization_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    number: row.attempts_before,
    trigger: row.trigger,
    durationMs,
    isLast: row.spent,
  };
}

function toClaimed(row: ClaimRow, leaseToken: string): ClaimedDelivery {
  return {
    deliveryId: row.delivery_id,
    organizationId: row.organization_id,
    webhookId: row.webhook_id,
    eventId: row.event_id,
    leaseToken,
    lateMs: row.late_ms,
    number: row.attempts,
    step: row.step,
    manual: row.manual,
    resumes: row.resumes,
    trigger: row.trigger,
  };
}

/** Milliseconds until the next row outside `except` is due, or null if nothing waits. */
export async function untilNextDue(pool: Pool, except: readonly string[]): Promise<number | null> {
  const { rows } = await pool.query<{ ms: string | null }>({
    name: "until-next-due",
    text: `select extract(epoch from min(due_at) - now()) * 1000 as ms from delivery_queue
      where not held and destination_id <> all ($1::uuid[])`,
    values: [except],
  });
  const ms = rows[0]?.ms;
  return ms === null || ms === undefined ? null : Number(ms);
}
