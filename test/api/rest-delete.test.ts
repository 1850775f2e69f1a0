/** DELETE of a webhook: gone for every reader at once, and its rows soon after. */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Api, hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { notFound, refusal } from "./refusal.ts";

/** Every table with rows of a webhook. */
const TABLES = [
  "webhooks",
  "webhook_secrets",
  "webhook_counters",
  "events",
  "event_dedupe",
  "deliveries",
  "delivery_attempts",
  "delivery_queue",
  "receive_traces",
];

let service: TestService;
let destination: Destination;

interface Created {
  readonly id: string;
  readonly receiveUrl: string;
  readonly secret: string;
}

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

/** Rows of the webhook in each table. */
async function rowCounts(pool: Pool, webhookId: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const table of TABLES) {
    const column = table === "webhooks" ? "id" : "webhook_id";
    const { rows } = await pool.query(`select count(*)::int as n from ${table} where ${column} = $1`, [webhookId]);
    counts[table] = rows[0].n;
  }
  return counts;
}

/** A webhook with a rejection, an event, a delivery that has failed once and is still owed, and an attempt. */
async function withHistory(api: Api) {
  const webhook: Created = (await api.post("/webhooks", { name: "w", source: "github", url: destination.url })).body;
  const headers = { ...hubSignature(webhook.secret, "{}"), "x-github-event": "push", "x-github-delivery": "d-1" };
  const before = destination.arrivals.length;
  const eventId: string = (await send(webhook.receiveUrl, "{}", headers)).body.eventId;
  await destination.arrived(before + 1);
  await send(webhook.receiveUrl, "{}", {});
  await eventually("the rejection is written", async () => {
    return (await api.get(`/webhooks/${webhook.id}/rejections`)).body.items.length === 1;
  });
  const deliveryId = await eventually("a second try that waits", async () => {
    const [delivery] = (await api.get(`/webhooks/${webhook.id}/deliveries`)).body.items;
    return delivery?.attemptCount === 2 && delivery.status === "pending" && (delivery.id as string);
  });
  return { webhook, eventId, deliveryId, headers };
}

test("the tables named here are all that hold rows of a webhook", async () => {
  const { rows } = await service.pool.query<{ table_name: string }>(
    `select c.table_name from information_schema.columns c join pg_class t on t.relname = c.table_name
     where c.column_name = 'webhook_id' and c.table_schema = 'public' and not t.relispartition
       and t.relkind <> 'v' order by 1`,
  );
  // Whose rows end by themselves.
  const brief = ["notice_floods", "notices", "purges", "releases", "secret_captures"];
  const expected = [...TABLES.filter((table) => table !== "webhooks"), ...brief].sort();
  expect(rows.map((row) => row.table_name)).toEqual(expected);
});

test("every reader answers NOT_FOUND, lists show nothing, nothing is delivered, and all rows go", async () => {
  destination.behave(answer(500));
  const { webhook, eventId, deliveryId, headers } = await withHistory(service.api);
  const kept = await withHistory(service.api);
  for (const count of Object.values(await rowCounts(service.pool, webhook.id))) expect(count).toBeGreaterThan(0);
  const keptRows = await rowCounts(service.pool, kept.webhook.id);

  const deleted = await service.api.delete(`/webhooks/${webhook.id}`);
  expect([deleted.status, deleted.body]).toEqual([200, { deleted: true }]);

  const { api } = service;
  const gone = [
    await api.get(`/webhooks/${webhook.id}`),
    await api.patch(`/webhooks/${webhook.id}`, { name: "x" }),
    await api.delete(`/webhooks/${webhook.id}`),
    await api.post(`/webhooks/${webhook.id}/rotate`),
    await api.get(`/webhooks/${webhook.id}/events`),
    await api.get(`/webhooks/${webhook.id}/deliveries`),
    await api.get(`/webhooks/${webhook.id}/rejections`),
    await api.get(`/webhooks/${webhook.id}/handshakes`),
    await api.get(`/webhooks/${webhook.id}/capture`),
    await api.post(`/webhooks/${webhook.id}/capture`),
    await api.post(`/webhooks/${webhook.id}/capture/confirm`),
    await api.get(`/webhooks/events/${eventId}`),
    await api.get(`/webhooks/events/${eventId}/body`),
    await api.post(`/webhooks/events/${eventId}/replay`),
    await api.get(`/webhooks/deliveries/${deliveryId}`),
    await api.post(`/webhooks/deliveries/${deliveryId}/retry`),
    await api.post("/webhooks/test", { webhookId: webhook.id }),
    await api.post("/webhooks/verify", { webhookId: webhook.id, payload: "" }),
    await send(webhook.receiveUrl, "{}", headers),
  ];
  expect(gone.map(refusal)).toEqual(gone.map(() => notFound));
  expect(JSON.stringify((await api.get("/webhooks")).body)).not.toContain(webhook.id);
  expect(JSON.stringify((await api.get("/webhooks/events")).body)).not.toContain(webhook.id);

  await eventually("all rows purged", async () => {
    return Object.values(await rowCounts(service.pool, webhook.id)).every((count) => count === 0);
  });
  expect(await rowCounts(service.pool, kept.webhook.id)).toEqual(keptRows);
  const arrivals = destination.arrivals.length;
  await service.advanceQueue(3 * 3_600_000);
  // The kept webhook's next try is the only one that is still owed.
  await destination.arrived(arrivals + 1);
  const owed = destination.arrivals.slice(arrivals).map((arrival) => arrival.headers["webhook-id"]);
  expect(owed).toEqual([kept.eventId]);
});

test("events of a deleted webhook are hidden from the recent ones before the purge reaches them", async () => {
  const { webhook, eventId } = await withHistory(service.api);
  const recent = async () => (await service.api.get("/webhooks/events")).body;
  expect((await recent()).items[0].id).toBe(eventId);
  // The purge waits for the row that this transaction holds.
  const holder = await service.pool.connect();
  try {
    await holder.query("begin");
    await holder.query("select 1 from events where id = $1 for update", [eventId]);
    expect((await service.api.delete(`/webhooks/${webhook.id}`)).status).toBe(200);
    expect(JSON.stringify(await recent())).not.toContain(eventId);
    expect(refusal(await service.api.get(`/webhooks/events/${eventId}`))).toEqual(notFound);
    const { rowCount } = await service.pool.query("select 1 from events where id = $1", [eventId]);
    expect(rowCount).toBe(1);
  } finally {
    await holder.query("rollback");
    holder.release();
  }
  await eventually("all rows purged", async () => {
    return Object.values(await rowCounts(service.pool, webhook.id)).every((count) => count === 0);
  });
});

test("rows that come late are purged as well", async () => {
  const { id } = (await service.api.post("/webhooks", { name: "w" })).body;
  await service.api.delete(`/webhooks/${id}`);
  await eventually("a first look that found nothing more", async () => {
    const { rowCount } = await service.pool.query("select 1 from purges where webhook_id = $1 and due_at > now()", [
      id,
    ]);
    return rowCount === 1;
  });
  await service.pool.query(
    `insert into events (id, organization_id, webhook_id, source_event_id_reused, status, verified, scheme, synthetic,
       size, received_at, headers, body)
     select gen_random_uuid(), organization_id, $1, false, 'received', true, 's', false, 0, now(), '[]', ''
     from purges where webhook_id = $1`,
    [id],
  );
  await service.pool.query("update purges set due_at = now() where webhook_id = $1", [id]);
  service.app.maintenance.wake();
  await eventually("the late row purged", async () => (await rowCounts(service.pool, id)).events === 0);
});
