/** What the tests of history share: rows of any age, written as receiving would have. */
import { randomBytes, randomUUID } from "node:crypto";
import type { Pool } from "pg";

export const DAY_MS = 86_400_000;

/** A UUIDv7 of that time. */
export function idAt(timestampMs: number): string {
  const time = Math.floor(timestampMs).toString(16).padStart(12, "0");
  const tail = randomBytes(8).toString("hex");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${tail.slice(0, 3)}-8${tail.slice(3, 6)}-${tail.slice(4)}`;
}

export interface TestWebhook {
  readonly id: string;
  readonly organizationId: string;
}

/** A webhook that forwards. */
export async function insertWebhook(pool: Pool): Promise<TestWebhook> {
  const [id, organizationId] = [randomUUID(), randomUUID()];
  await pool.query("insert into organizations (id, name) values ($1, 'o')", [organizationId]);
  await pool.query(
    `insert into webhooks (id, organization_id, name, url, source, events, status, created_at, updated_at)
     values ($1, $2, 'w', 'https://example.com/', 'custom', '{}', 'active', now(), now())`,
    [id, organizationId],
  );
  await pool.query("insert into webhook_counters (webhook_id, organization_id) values ($1, $2)", [id, organizationId]);
  return { id, organizationId };
}

export async function insertEvent(pool: Pool, webhook: TestWebhook, atMs: number): Promise<string> {
  const id = idAt(atMs);
  await pool.query(
    `insert into events (id, organization_id, webhook_id, source_event_id_reused, status, verified, scheme, synthetic,
       size, received_at, headers, body)
     values ($1, $2, $3, false, 'received', true, 'hub', false, 2, now(), '[]', '{}')`,
    [id, webhook.organizationId, webhook.id],
  );
  return id;
}

/** The trace of a refused receive. */
export async function insertTrace(pool: Pool, webhook: TestWebhook, atMs: number): Promise<string> {
  const id = idAt(atMs);
  await pool.query(
    `insert into receive_traces (id, organization_id, webhook_id, check_name, client, received_at, status_code, reason,
       method, remote_address, headers, body_truncated, further)
     values ($1, $2, $3, 'signature', 'c', now(), 401, 'r', 'POST', 'a', '[]', false, 0)`,
    [id, webhook.organizationId, webhook.id],
  );
  return id;
}

export interface DeliveryOptions {
  readonly status?: string;
  readonly attempts?: number;
  /** How its queue row is; none if absent. */
  readonly queued?: { readonly leaseToken?: string; readonly held?: boolean; readonly dueInMs?: number };
}

/** A delivery of that time, with its attempts, and its queue row if it is owed. */
export async function insertDelivery(
  pool: Pool,
  webhook: TestWebhook,
  eventId: string,
  atMs: number,
  { status = "succeeded", attempts = 0, queued }: DeliveryOptions = {},
): Promise<string> {
  const id = idAt(atMs);
  await pool.query(
    `insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, attempt_count,
       created_at, updated_at)
     values ($1, $2, $3, $3, $4, 'https://example.com/', $5, $6, now(), now())`,
    [id, webhook.organizationId, webhook.id, eventId, status, attempts],
  );
  await pool.query(
    `insert into delivery_attempts (delivery_id, number, organization_id, webhook_id, trigger, status, started_at,
       duration_ms)
     select $1, n, $2, $3, 'scheduled', 'failed', now(), 0 from generate_series(1, $4::int) n`,
    [id, webhook.organizationId, webhook.id, attempts],
  );
  if (attempts > 0) {
    await pool.query("update webhook_counters set delivery_count = delivery_count + 1 where webhook_id = $1", [
      webhook.id,
    ]);
  }
  if (queued) {
    const { leaseToken = null, held = false, dueInMs = 0 } = queued;
    await pool.query(
      `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts,
         step, held, lease_token, started_at)
       values ($1, $2, $3, $3, $4, now() + $5 * interval '1 millisecond', $6, $6, $7, $8,
         case when $8::uuid is not null then now() end)`,
      [
        id,
        webhook.organizationId,
        webhook.id,
        eventId,
        dueInMs,
        attempts + Number(leaseToken !== null),
        held,
        leaseToken,
      ],
    );
  }
  return id;
}
