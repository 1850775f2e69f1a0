/**
 * Giving up what is still owed when its history falls due: the delivery has failed, with a last attempt that says why.
 * A delivery that a worker holds is left to it, and found by a later look.
 */
import type { ClientBase } from "pg";
import { noticesOf } from "./notices.ts";

const PAGE = `
with page as materialized (
  select delivery_id, event_id, lease_token from delivery_queue where delivery_id > $1 order by delivery_id limit $2
)
select (select delivery_id from page order by delivery_id desc limit 1) as last,
  array(select delivery_id from page where lease_token is null and (delivery_id < $3 or event_id < $3)) as due`;

/**
 * Finds what is owed of events or deliveries whose ids are below `before`, among the `rows` queue rows that follow
 * `after` in the order of their ids. `last` is where to go on; null at the end.
 */
export async function findExpired(
  client: ClientBase,
  { after, before, rows }: { after: string; before: string; rows: number },
): Promise<{ last: string | null; due: string[] }> {
  const { rows: found } = await client.query<{ last: string | null; due: string[] }>(PAGE, [after, rows, before]);
  return found[0] ?? { last: null, due: [] };
}

// The update of the partitioned table stands last, never in a CTE: see partitions.ts.
const EXPIRE = `
with due as materialized (
  select q.* from delivery_queue q where q.delivery_id = any ($1::uuid[]) and q.lease_token is null
  order by q.delivery_id for update skip locked
), noted as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, started_at,
    duration_ms, error_code, error_message)
  select delivery_id, attempts + 1, organization_id, webhook_id, 'scheduled', 'failed', now(), 0, 'expired', $2
  from due
), noticed as (${noticesOf(
  "delivery.exhausted",
  `select organization_id, webhook_id, jsonb_build_object('deliveryId', delivery_id, 'attemptCount', attempts + 1,
    'statusCode', null, 'errorCode', 'expired', 'errorMessage', $2::text) as data
  from due`,
)}
), gone as (
  delete from delivery_queue q using due d where q.delivery_id = d.delivery_id
), counted as materialized (
  select c.webhook_id from webhook_counters c where c.webhook_id in (select webhook_id from due)
  order by c.webhook_id for update
), counters as (
  update webhook_counters c set delivery_count = c.delivery_count + f.first_attempts,
    last_delivery_at = greatest(c.last_delivery_at, now())
  from (select webhook_id, count(*) filter (where attempts = 0) as first_attempts from due group by webhook_id) f
  where c.webhook_id = f.webhook_id and c.webhook_id in (select webhook_id from counted)
)
update deliveries d set status = 'failed', attempt_count = q.attempts + 1, next_attempt_at = null,
  completed_at = now(), updated_at = now()
from due q where d.id = q.delivery_id`;

/** Ends these deliveries as failed, the last attempt saying `reason`; resolves to how many nobody held. */
export async function expireDeliveries(client: ClientBase, ids: readonly string[], reason: string): Promise<number> {
  const { rowCount } = await client.query(EXPIRE, [ids, reason]);
  return rowCount ?? 0;
}
