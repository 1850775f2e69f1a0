/** Retries and replays, by hand and in bulk, against the webhook's state as it is now. */
import type { ClientBase, Pool } from "pg";
import type { AttemptTrigger } from "../entities/delivery.ts";
import { transaction } from "../transaction.ts";

/** Why a delivery cannot be tried now. */
export type RetryRefusal = "not_found" | "under_way" | "paused" | "stopped" | "no_url";

/** A webhook as a destination. */
export interface Destination {
  readonly id: string;
  readonly url: string | null;
  readonly paused: boolean;
  readonly stopped: boolean;
}

/** The columns of a Destination, of a webhook `w`. */
export const DESTINATION =
  "w.id, w.url, w.status <> 'active' as paused, w.forwarding_stopped_at is not null as stopped";

// The delivery's row is held against those who delete history, not against its worker.
const DELIVERY = `
select ${DESTINATION} from deliveries d join webhooks w on w.id = d.webhook_id
where d.id = $1 and d.organization_id = $2 and w.organization_id = $2 for share of w for key share of d`;

// A quick wait holds its lease for $2 milliseconds beyond the time at which its next attempt is due.
const REQUEUE = `
update delivery_queue set manual = true, trigger = $3, due_at = now(), lease_token = null, started_at = null,
  held = false, laned = $4,
  resume_at = case when manual then resume_at when lease_token is null then due_at
    else due_at - $2 * interval '1 millisecond' end
where delivery_id = any ($1::uuid[])`;

const ENQUEUE = `
insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts,
  step, manual, trigger, laned)
select id, organization_id, webhook_id, destination_id, event_id, now(), attempt_count, attempt_count, true, $2, $3
from deliveries where id = any ($1::uuid[]) order by id
on conflict (delivery_id) do nothing
returning delivery_id`;

// An attempt that succeeded makes room for the one that follows it.
const REOPEN = `
with succeeded as (
  insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, url, started_at,
    duration_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, status_code, sender_version, credential_headers,
    response_headers, response_body, response_truncated, remote_address)
  select id, attempt_count, organization_id, webhook_id, trigger, 'succeeded', url, started_at, duration_ms, dns_ms,
    connect_ms, tls_ms, first_byte_ms, status_code, sender_version, credential_headers, response_headers, response_body,
    response_truncated, remote_address
  from deliveries where id = any ($1::uuid[]) and started_at is not null
)
update deliveries set status = 'pending', next_attempt_at = now(), completed_at = null, updated_at = now(),
  trigger = null, started_at = null, duration_ms = null, dns_ms = null, connect_ms = null, tls_ms = null,
  first_byte_ms = null, status_code = null, sender_version = null, credential_headers = null, response_headers = null,
  response_body = null, response_truncated = null, remote_address = null
where id = any ($1::uuid[])`;

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
    const refusal = destination ? refusalOf(destination) : "not_found";
    if (refusal) return refusal;
    const queued = await lockQueued(client, [deliveryId]);
    if (queued.get(deliveryId)) return "under_way";
    const isProbe = (await client.query(PROBE, [destination?.id])).rowCount === 1;
    const begun = await retryNow(client, [deliveryId], { trigger: "manual", leaseMs, isProbe });
    return begun.has(deliveryId) ? null : "under_way";
  });
}

/** Why a destination takes nothing now; null if it does. */
export function refusalOf(destination: Destination): Exclude<RetryRefusal, "not_found" | "under_way"> | null {
  if (destination.url === null) return "no_url";
  if (destination.paused) return "paused";
  return destination.stopped ? "stopped" : null;
}

/** Holds the queue rows of deliveries against every other writer; resolves to whether an attempt is under way, by id. */
export async function lockQueued(client: ClientBase, ids: readonly string[]): Promise<Map<string, boolean>> {
  const { rows } = await client.query<{ delivery_id: string; under_way: boolean }>(
    `select delivery_id, started_at is not null as under_way from delivery_queue
     where delivery_id = any ($1::uuid[]) order by delivery_id for update`,
    [ids],
  );
  return new Map(rows.map((row) => [row.delivery_id, row.under_way]));
}

interface RetryOptions {
  readonly trigger: AttemptTrigger;
  readonly leaseMs: number;
  /** Whether it is the one by which an open circuit is tried; others wait until that is closed. */
  readonly isProbe?: boolean;
}

/**
 * Makes deliveries whose destination takes some due now, each for one try beside its schedule; resolves to which. Those
 * with an attempt under way stay as they are.
 */
export async function retryNow(
  client: ClientBase,
  ids: readonly string[],
  { trigger, leaseMs, isProbe = false }: RetryOptions,
): Promise<Set<string>> {
  const queued = await lockQueued(client, ids);
  const waiting = ids.filter((id) => queued.get(id) === false);
  const finished = ids.filter((id) => !queued.has(id));
  if (waiting.length > 0) await client.query(REQUEUE, [waiting, leaseMs, trigger, isProbe]);
  // Another retry may have queued some since; then an attempt is under way, or about to be.
  const { rows } =
    finished.length > 0
      ? await client.query<{ delivery_id: string }>(ENQUEUE, [finished, trigger, isProbe])
      : { rows: [] };
  const begun = [...waiting, ...rows.map((row) => row.delivery_id)];
  if (begun.length > 0) await client.query(REOPEN, [begun]);
  return new Set(begun);
}

const WEBHOOK = `
select ${DESTINATION} from webhooks w where w.id = $1 and w.organization_id = $2 for share`;

const REPLAY = `
with input as materialized (
  select * from unnest($2::uuid[], $3::uuid[], $4::text[], $5::boolean[]) as i (id, event_id, url, held)
), owed as (
  insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
    next_attempt_at, created_at, updated_at, replay)
  select i.id, e.organization_id, e.webhook_id, e.webhook_id, e.id, e.type, i.url,
    case when i.held then 'paused' else 'pending' end, now(), now(), now(), true
  from events e join input i on i.event_id = e.id
  where e.organization_id = $1 and e.id = any ($3::uuid[])
  order by i.id
  returning *
)
insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, held, trigger)
select id, organization_id, webhook_id, destination_id, event_id, now(), status = 'paused', $6 from owed
returning delivery_id`;

/** A new delivery of a recorded event. */
export interface Replay {
  /** Of the new delivery. */
  readonly id: string;
  readonly eventId: string;
  readonly url: string;
  readonly held: boolean;
}

/** Makes new deliveries, each to its event's webhook; resolves to the ids of those whose event is still there. */
export async function replayNow(
  client: ClientBase,
  organizationId: string,
  replays: readonly Replay[],
  trigger: AttemptTrigger,
): Promise<Set<string>> {
  const columns = (["id", "eventId", "url", "held"] as const).map((name) => replays.map((replay) => replay[name]));
  const { rows } = await client.query<{ delivery_id: string }>(REPLAY, [organizationId, ...columns, trigger]);
  return new Set(rows.map((row) => row.delivery_id));
}

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
    const replay = { id: deliveryId, eventId: event.id, url: destination.url, held };
    const made = await replayNow(client, organizationId, [replay], "manual");
    return made.has(deliveryId) ? null : "not_found";
  });
}
