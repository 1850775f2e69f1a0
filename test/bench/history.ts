/** A past for the service: events and a backlog, made by PostgreSQL itself. */
import type { Gateway, Webhook } from "./gateway.ts";

const DAY_SECONDS = 86_400;

/** Events of the last day, spread evenly; `backlog` of them owe a delivery that falls due in a day. */
export async function makeHistory(gateway: Gateway, webhook: Webhook, events: number, backlog: number): Promise<void> {
  await gateway.query("set synchronous_commit = off");
  await gateway.query(
    `insert into events (id, organization_id, webhook_id, type, source_event_id_reused, status, verified, scheme,
       synthetic, content_type, size, received_at, headers, body)
     select uuidv7(at), w.organization_id, w.id, 'order.paid', false, 'received', true, 'hub', false,
       'application/json', 64, now() + at, '[["content-type","application/json"]]', decode(repeat('5b', 64), 'hex')
     from webhooks w, generate_series(1, $2::int) n, lateral (select make_interval(secs => n::float8 / $2 * $3 - $3) at) t
     where w.id = $1`,
    [webhook.id, events, DAY_SECONDS],
  );
  await gateway.query(
    `with owed as (
       insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status,
         attempt_count, next_attempt_at, created_at, updated_at)
       select uuidv7(at), w.organization_id, w.id, w.id, gen_random_uuid(), 'order.paid', w.url, 'pending', 1,
         now() + interval '1 day', now() + at, now() + at
       from webhooks w, generate_series(1, $2::int) n,
         lateral (select make_interval(secs => n::float8 / $2 * $3 - $3) at) t
       where w.id = $1
       returning id, organization_id, webhook_id, event_id
     )
     insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts, step)
     select id, organization_id, webhook_id, webhook_id, event_id, now() + interval '1 day', 1, 1 from owed`,
    [webhook.id, backlog, DAY_SECONDS],
  );
  await gateway.query("set synchronous_commit = on");
  await gateway.query("analyze");
  await gateway.query("checkpoint");
}
