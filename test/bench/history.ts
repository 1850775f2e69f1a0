/** A past for the service, made by PostgreSQL itself: whole partitions, filled before they are indexed and attached. */
import { uuidLowerBound } from "../../src/store/partitions.ts";
import type { Gateway, Webhook } from "./gateway.ts";

const DAY_MS = 86_400_000;

/** Ids and times of one day, evenly. An hour is left free at both ends, because the clock goes on meanwhile. */
const spread = (dayMs: number, rows: number): string => `(
  select uuidv7(shift) as id, start + shift as at from (
    select now() as start, make_interval(secs => ${dayMs / 1_000} - extract(epoch from now())::float8
      + 3600 + g * ${DAY_MS / 1_000 - 7_200}::float8 / ${rows}) as shift
    from generate_series(1, ${rows}) g) shifts) made`;

/** Puts `rows` made by `select` (of `id` and `at`) in place of the table's partition of that day, in order of time. */
async function fillDay(
  gateway: Gateway,
  table: string,
  dayMs: number,
  rows: number,
  columns: string,
  select: string,
  from = spread(dayMs, rows),
) {
  const name = `${table}_p${new Date(dayMs).toISOString().slice(0, 10).replaceAll("-", "")}`;
  const [first, end] = [uuidLowerBound(dayMs), uuidLowerBound(dayMs + DAY_MS)];
  await gateway.query("set maintenance_work_mem = '512MB'");
  await gateway.query(`drop table if exists ${name}`);
  await gateway.query("begin");
  // Made in this transaction, it needs no log; with its bounds as a check, it need not be read to be attached.
  await gateway.query(
    `create table ${name} (like ${table} including defaults including generated including storage,
       check (id >= '${first}' and id < '${end}'))`,
  );
  await gateway.query(`insert into ${name} (id, ${columns}) select ${select} from ${from}`);
  await gateway.query(`alter table ${table} attach partition ${name} for values from ('${first}') to ('${end}')`);
  await gateway.query("commit");
  await gateway.query(`analyze ${name}`);
}

/** `rows` events of one day. */
export async function makeEvents(gateway: Gateway, webhook: Webhook, dayMs: number, rows: number): Promise<void> {
  await fillDay(
    gateway,
    "events",
    dayMs,
    rows,
    "organization_id, webhook_id, type, source_event_id_reused, status, verified, scheme, synthetic, content_type, size, received_at, headers, body",
    `id, '${webhook.organizationId}', '${webhook.id}', 'order.paid', false, 'received', true, 'hub', false,
     'application/json', 64, at, '[["content-type","application/json"]]', decode(repeat('5b', 64), 'hex')`,
  );
}

/** A delivery that succeeded of each event of that day, with the event's id. */
export async function makeDelivered(gateway: Gateway, webhook: Webhook, dayMs: number, rows: number): Promise<void> {
  await fillDay(
    gateway,
    "deliveries",
    dayMs,
    rows,
    "organization_id, webhook_id, destination_id, event_id, event_type, url, status, attempt_count, created_at, updated_at, completed_at",
    `id, '${webhook.organizationId}', '${webhook.id}', '${webhook.id}', id, 'order.paid', 'https://example.com/', 'succeeded',
     1, at, at, at`,
    `(select id, received_at as at from events where webhook_id = '${webhook.id}' and id >= '${uuidLowerBound(dayMs)}'
       and id < '${uuidLowerBound(dayMs + DAY_MS)}' order by id) made`,
  );
}

/** `rows` deliveries of one day that are owed and fall due in a day. */
export async function makeBacklog(gateway: Gateway, webhook: Webhook, dayMs: number, rows: number): Promise<void> {
  await fillDay(
    gateway,
    "deliveries",
    dayMs,
    rows,
    "organization_id, webhook_id, destination_id, event_id, event_type, url, status, attempt_count, next_attempt_at, created_at, updated_at",
    `id, '${webhook.organizationId}', '${webhook.id}', '${webhook.id}', id, 'order.paid', 'https://example.com/', 'pending',
     1, now() + interval '1 day', at, at`,
  );
  await gateway.query(
    `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts, step)
     select id, organization_id, webhook_id, destination_id, event_id, now() + interval '1 day', 1, 1
     from deliveries where id >= '${uuidLowerBound(dayMs)}' and id < '${uuidLowerBound(dayMs + DAY_MS)}' order by id`,
  );
  await gateway.query("analyze delivery_queue");
}
