/** Manual retries and replays: one transaction each, against the webhook's state as it is now. */
import type { Pool } from "pg";
import { transaction } from "../transaction.ts";

/** Why a delivery cannot be tried now. */
export type RetryRefusal = "not_found" | "under_way" | "paused" | "stopped" | "no_url";

interface Destination {
  readonly id: string;
  readonly url: string | null;
  readonly paused: boolean;
  readonly stopped: boolean;
}

// The delivery's row is held against those who delete history, not against its worker.
const DELIVERY = `
select w.id, w.url, w.status <> 'active' as paused, w.forwarding_stopped_at is not null as stopped,
  d.attempt_count, d.event_id
from deliveries d join webhooks w on w.id = d.webhook_id
where d.id = $1 and d.organization_id = $2 and w.organization_id = $2 for share of w for key share of d`;

// A quick wait holds its lease for $2 milliseconds beyond the time at which its next attempt is due.
const REQUEUE = `
update delivery_queue set manual = true, trigger = 'manual', due_at = now(), lease_token = null, started_at = null,
  held = false, laned = $3,
  resume_at = case when manual then resume_at when lease_token is null then due_at
    else due_at - $2 * interval '1 millisecond' end
where delivery_id = $1`;

const ENQUEUE = `
insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts,
  step, manual, trigger, laned)
select id, organization_id, webhook_id, destination_id, event_id, now(), attempt_count, attempt_count, true, 'manual', $2
from deliveries where id = $1
on conflict (delivery_id) do nothing`;

// An attempt that succeeded makes room for the one that follows it.
const REOPEN = `
with succeeded as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at,
    duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, status_code, sender_version, credential_headers,
    response_headers, response_body, response_truncated, remote_address)
  select id, attempt_count, organization_id, webhook_id, trigger, 'succeeded', url, started_at, duration_ms, dns_ms,
    connect_ms, tls_ms, first_byte_ms, status_code, sender_version, credential_headers, response_headers, response_body,
    response_truncated, remote_address
  from deliveries where id = $1 and started_at is not null
)
update deliveries set status = 'pending', next_attempt_at = now(), completed_at = null, updated_at = now(),
  trigger = null, started_at = null, duration_ms = null, dns_ms = null, connect_ms = null, tls_ms = null,
  first_byte_ms = null, status_code = null, sender_version = null, credential_headers = null, response_headers = null,
  response_body = null, response_truncated = null, remote_address = null
where id = $1`;

// A retry by hand is the probe that an open circuit waits for: it stands in the lane before that is served.
const PROBE = `
update lanes set circuit_until = now(), next_at = now() where destination_id = $1 and circuit is not null`;

/** Makes a delivery due now for one manual try; resolves to why not, or null when done. */
export async function retryDelivery(
  pool: Pool,
  organizationId: string,
  deliveryId: string,
  leaseMs: number,
): Promise<RetryRefusal | null> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<Destination>(DELIVERY, [deliveryId, organizationId]);
    const destination = rows[0];
    const refusal = refuse(destination);
    if (refusal) return refusal;
    const queued = await client.query<{ under_way: boolean }>(
      "select started_at is not null as under_way from delivery_queue where delivery_id = $1 for update",
      [deliveryId],
    );
    if (queued.rows[0]?.under_way) return "under_way";
    const isProbe = (await client.query(PROBE, [destination?.id])).rowCount === 1;
    if (queued.rows[0]) await client.query(REQUEUE, [deliveryId, leaseMs, isProbe]);
    // Another retry may have queued it since; then an attempt is under way, or about to be.
    else if ((await client.query(ENQUEUE, [deliveryId, isProbe])).rowCount !== 1) return "under_way";
    await client.query(REOPEN, [deliveryId]);
    return null;
  });
}

function refuse(destination: Destination | undefined): RetryRefusal | null {
  if (!destination) return "not_found";
  if (destination.url === null) return "no_url";
  if (destination.paused) return "paused";
  return destination.stopped ? "stopped" : null;
}

const WEBHOOK = `
select id, url, status <> 'active' as paused, forwarding_stopped_at is not null as stopped
from webhooks where id = $1 and organization_id = $2 for share`;

const REPLAY = `
with owed as (
  insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
    next_attempt_at, created_at, updated_at, replay)
  select $1, organization_id, webhook_id, webhook_id, id, type, $4, case when $5 then 'paused' else 'pending' end,
    now(), now(), now(), true
  from events where id = $2 and organization_id = $3
  returning *
)
insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, held, trigger)
select id, organization_id, webhook_id, destination_id, event_id, now(), $5, 'manual' from owed`;

/** Makes a new delivery of a recorded event to its webhook's url; resolves to why not, or null when done. */
export async function replayEvent(
  pool: Pool,
  organizationId: string,
  event: { readonly id: string; readonly webhookId: string },
  deliveryId: string,
): Promise<"not_found" | "no_url" | null> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<Destination>(WEBHOOK, [event.webhookId, organizationId]);
    const destination = rows[0];
    if (!destination) return "not_found";
    if (destination.url === null) return "no_url";
    const held = destination.paused || destination.stopped;
    const { rowCount } = await client.query(REPLAY, [deliveryId, event.id, organizationId, destination.url, held]);
    return rowCount === 1 ? null : "not_found";
  });
}
