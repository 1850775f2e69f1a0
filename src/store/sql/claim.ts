/**
 * Claiming what is due: rows whose time has come and rows whose lease has ended. Leases run on the database's
 * clock. An attempt gets its number here; the attempt that a dead worker left is written down as interrupted.
 */
import type { Pool } from "pg";
import type { AttemptTrigger } from "../entities/delivery.ts";
import { type Destination, FIRST, LATE, lanesFor, METERED } from "./lanes.ts";
import { noticesOf } from "./notices.ts";

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
  /** Came from its destination's lane, whose turns it must not forestall by quick tries. */
  readonly laned: boolean;
  /** Tries whether a destination whose circuit is open works again. */
  readonly probe: boolean;
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
  /** Where deliveries that were due were moved to their lanes. */
  readonly parked: Destination[];
}

const OPEN = `q.due_at <= now() and q.destination_id <> all ($3::uuid[]) and q.organization_id <> all ($6::uuid[])`;

// First tries and later ones have half of the limit each, as far as there are so many.
// The limit is taken inside a materialized CTE: it runs exactly once, whatever the plan. The update of the
// partitioned table stands last, never in a CTE: see partitions.ts.
const CLAIM = `
with late as materialized (
  select q.* from delivery_queue q where ${LATE} and ${OPEN} order by q.due_at limit ($1 + 1) / 2 for update skip locked
), first as materialized (
  select q.* from delivery_queue q where ${FIRST} and ${OPEN}
  order by q.due_at limit $1 - (select count(*) from late) for update skip locked
), later as materialized (
  select q.* from delivery_queue q
  where ${LATE} and ${OPEN} and q.delivery_id <> all (array(select delivery_id from late))
    and (select count(*) from late) = ($1 + 1) / 2
  order by q.due_at limit $1 - (select count(*) from late) - (select count(*) from first) for update skip locked
), due as materialized (
  select * from late union all select * from first union all select * from later
), judged as materialized (
  select d.*, d.started_at is not null and not d.manual and d.step >= $5 +
      coalesce((w.delivery->>'maxAttempts')::int, jsonb_array_length(w.delivery->'schedule'), $4) as spent,
    w.id is not null and w.status = 'active' and w.forwarding_stopped_at is null and w.url is not null as takes,
    l.destination_id is not null or d.order_key is not null or coalesce(w.delivery ?| ${METERED}, false)
      as parks
  from due d left join webhooks w on w.id = d.webhook_id left join lanes l on l.destination_id = d.destination_id
), open as materialized (
  -- What is blocked, and nobody held, stays as it is shown: settleBlocked shows what becomes of it.
  select *, takes and not spent and not parks as go, takes and not spent and parks as parked, takes or spent or lease_token is not null as changes from judged
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
), noticed as (${noticesOf(
  "delivery.exhausted",
  `select organization_id, webhook_id, jsonb_build_object('deliveryId', delivery_id, 'attemptCount', attempts,
    'statusCode', null, 'errorCode', 'interrupted', 'errorMessage', 'the worker died during the last attempt') as data
  from open where spent`,
)}
), exhausted as (
  delete from delivery_queue q using open o where q.delivery_id = o.delivery_id and o.spent
), leased as (
  update delivery_queue q set lease_token = o.token, due_at = now() + $2 * interval '1 millisecond',
    attempts = q.attempts + 1, step = q.step + (not q.manual)::int, started_at = now(), laned = false
  from (select delivery_id, gen_random_uuid() as token from open where go) o
  where q.delivery_id = o.delivery_id
  returning q.delivery_id, q.organization_id, q.webhook_id, q.event_id, q.lease_token, q.attempts, q.step, q.manual,
    q.resume_at, q.trigger
), unleased as (
  update delivery_queue q set lease_token = null, started_at = null, laned = o.parked
  from open o where q.delivery_id = o.delivery_id and not o.go and not o.spent
    and (o.parked or q.lease_token is not null)
), ${lanesFor("open where parked")}
update deliveries d set attempt_count = o.attempts,
  status = case when o.go then 'delivering' when o.spent then 'failed' when o.changes then 'pending' else d.status end,
  next_attempt_at = case when not o.changes then d.next_attempt_at when not o.go and not o.spent then o.due_at end,
  completed_at = case when o.spent then now() when not o.changes then d.completed_at end,
  updated_at = case when o.changes then now() else d.updated_at end
from open o left join leased l using (delivery_id) where d.id = o.delivery_id
returning o.delivery_id, o.spent, o.parked, o.organization_id, o.webhook_id, o.event_id, l.lease_token, l.attempts, l.step,
  o.manual, l.resume_at is not null as resumes, coalesce(o.trigger, 'scheduled') as trigger,
  extract(epoch from now() - o.due_at)::float8 * 1000 as late_ms,
  case when o.lease_token is not null then extract(epoch from now() - o.started_at)::float8 * 1000 end as lost_ms,
  o.attempts as attempts_before`;

export interface ClaimRow {
  delivery_id: string;
  spent: boolean;
  parked: boolean;
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
  laned?: boolean;
  probe?: boolean;
}

export interface ClaimOptions {
  readonly limit: number;
  /** How long the claimed deliveries are leased, milliseconds. */
  readonly leaseMs: number;
  /** Attempts of the schedule, where the webhook has none of its own. */
  readonly stepsMax: number;
  /** A delivery that is lost after so many more attempts has failed. */
  readonly lostMax: number;
  /** Destinations and organizations that take no more now. */
  readonly except: readonly string[];
  readonly exceptOrganizations: readonly string[];
}

/** Claims what is due. */
export async function claimDue(
  pool: Pool,
  { limit, leaseMs, stepsMax, lostMax, except, exceptOrganizations }: ClaimOptions,
): Promise<Claim> {
  const values = [limit, leaseMs, except, stepsMax, lostMax, exceptOrganizations];
  const { rows } = await pool.query<ClaimRow>({ name: "claim", text: CLAIM, values });
  const claimed: ClaimedDelivery[] = [];
  const lost: LostAttempt[] = [];
  const blocked: string[] = [];
  const parked: Destination[] = [];
  // What has been due for longest goes first.
  for (const row of rows.sort((one, other) => other.late_ms - one.late_ms)) {
    if (row.lost_ms !== null) lost.push(toLost(row, row.lost_ms));
    if (row.parked) parked.push({ webhookId: row.webhook_id, organizationId: row.organization_id });
    if (row.spent || row.parked) continue;
    if (row.lease_token === null) blocked.push(row.delivery_id);
    else claimed.push(toClaimed(row, row.lease_token));
  }
  return { found: rows.length, claimed, lost, blocked, parked };
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

export function toClaimed(
  row: Omit<ClaimRow, "spent" | "parked" | "lost_ms" | "attempts_before">,
  leaseToken: string,
): ClaimedDelivery {
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
    laned: row.laned ?? false,
    probe: row.probe ?? false,
  };
}

/** Milliseconds until the next row outside the exceptions is due; null if none is within `withinMs`. */
export async function untilNextDue(
  pool: Pool,
  {
    except,
    exceptOrganizations,
    withinMs,
  }: Pick<ClaimOptions, "except" | "exceptOrganizations"> & {
    readonly withinMs: number;
  },
): Promise<number | null> {
  const { rows } = await pool.query<{ ms: string | null }>({
    name: "until-next-due",
    text: UNTIL_NEXT_DUE,
    values: [except, exceptOrganizations, withinMs],
  });
  const ms = rows[0]?.ms;
  return ms === null || ms === undefined ? null : Number(ms);
}

const nextOf = (which: string) => `select min(q.due_at) as at from delivery_queue q
  where ${which} and q.due_at <= now() + $3 * interval '1 millisecond'
    and q.destination_id <> all ($1::uuid[]) and q.organization_id <> all ($2::uuid[])`;

const UNTIL_NEXT_DUE = `
select extract(epoch from min(at) - now()) * 1000 as ms from (${nextOf(LATE)} union all ${nextOf(FIRST)}) due`;
