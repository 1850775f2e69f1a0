/** Rows of every kind, made by PostgreSQL, and what a filter must find among them. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import type { TestService } from "../support/service.ts";

export interface DeliveryRow {
  readonly id: string;
  readonly webhookId: string;
  readonly eventId: string;
  readonly type: string | null;
  readonly status: string;
  readonly errorCode: string | null;
  readonly replay: boolean;
  readonly atMs: number;
}

export interface EventRow {
  readonly id: string;
  readonly webhookId: string;
  readonly type: string | null;
  readonly status: string;
  readonly verified: boolean;
  readonly sourceEventId: string | null;
  readonly atMs: number;
}

const TYPES = ["order.paid", "order", "order.paid.twice", "orders.all", null, "ORDER.paid", "a%b", "a_b"];
const STATUSES = ["pending", "delivering", "paused", "succeeded", "failed", "canceled"];
const CODES = ["timeout", "http_status", "dns"];
const COUNT = 96;
const STEP_MS = 1_000;

/** A UUIDv7 of that millisecond. */
export const idAt = (ms: number): string => {
  const time = Math.floor(ms).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
};

const at = <Item>(list: readonly Item[], n: number): Item => list[n % list.length] as Item;

export async function organizationOf(pool: Pool, webhookId: string): Promise<string> {
  const { rows } = await pool.query("select organization_id from webhooks where id = $1", [webhookId]);
  return rows[0].organization_id;
}

/** Events and deliveries of webhooks of one organization, in turn, a second apart, from `startMs` on. */
export async function insertRows(service: TestService, webhookIds: readonly string[], startMs: number) {
  const organizationId = await organizationOf(service.pool, webhookIds[0] ?? "");
  const events: EventRow[] = [];
  const deliveries: DeliveryRow[] = [];
  for (let n = 0; n < COUNT; n++) {
    const atMs = startMs + n * STEP_MS;
    const webhookId = at(webhookIds, n);
    const type = at(TYPES, n >> 1);
    const event = {
      ...{ id: idAt(atMs), webhookId, type, atMs },
      ...{ status: n % 5 === 0 ? "filtered" : "received", verified: n % 3 !== 0 },
      sourceEventId: n % 4 === 0 ? null : `source_${n % 7}`,
    };
    events.push(event);
    const status = at(STATUSES, n);
    const succeeded = status === "succeeded";
    // Some that wait have not been tried yet.
    const errorCode = succeeded || n % 8 === 0 ? null : at(CODES, n >> 2);
    const replayed = n % 6 === 5 ? events[n - 4] : undefined;
    const of = replayed ?? event;
    deliveries.push({
      ...{ id: idAt(atMs + 1), webhookId: of.webhookId, eventId: of.id, type: of.type },
      ...{ status, errorCode, replay: replayed !== undefined, atMs: atMs + 1 },
    });
  }
  await service.pool.query(EVENTS, [organizationId, JSON.stringify(events)]);
  await service.pool.query(DELIVERIES, [organizationId, JSON.stringify(deliveries)]);
  await service.pool.query(ATTEMPTS, [organizationId, JSON.stringify(deliveries)]);
  await service.pool.query(QUEUE, [organizationId, JSON.stringify(deliveries)]);
  return { events, deliveries };
}

const EVENTS = `
insert into events (id, organization_id, webhook_id, type, source_event_id, source_event_id_reused, status, verified,
  scheme, synthetic, content_type, size, received_at, headers, body)
select id, $1, "webhookId", type, "sourceEventId", false, status, verified, 'hub', false, null, 2,
  to_timestamp("atMs" / 1000), '[]', '{}'
from json_to_recordset($2::json) as e (id uuid, "webhookId" uuid, type text, "sourceEventId" text, status text,
  verified boolean, "atMs" float8)`;

const INPUT = `json_to_recordset($2::json) as d (id uuid, "webhookId" uuid, "eventId" uuid, type text, status text,
  "errorCode" text, replay boolean, "atMs" float8)`;

// Two attempts where there is an error: the first failed otherwise.
const DELIVERIES = `
insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, event_type, url, status, attempt_count,
  created_at, updated_at, replay)
select id, $1, "webhookId", "webhookId", "eventId", type, 'https://consumer.example.com/', status,
  case when "errorCode" is null then 0 else 2 end, to_timestamp("atMs" / 1000), to_timestamp("atMs" / 1000),
  nullif(replay, false)
from ${INPUT}`;

const ATTEMPTS = `
insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, started_at, duration_ms,
  error_code)
select id, n, $1, "webhookId", 'scheduled', 'failed', now(), 1, case n when 1 then 'tls' else "errorCode" end
from ${INPUT} cross join generate_series(1, 2) n where "errorCode" is not null`;

const QUEUE = `
insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts, step,
  held, started_at, lease_token)
select id, $1, "webhookId", "webhookId", "eventId", now() + interval '1 hour',
  case when "errorCode" is null then 0 else 2 end + (status = 'delivering')::int, 1, status = 'paused',
  case when status = 'delivering' then now() end, case when status = 'delivering' then gen_random_uuid() end
from ${INPUT} where status in ('pending', 'delivering', 'paused')`;
