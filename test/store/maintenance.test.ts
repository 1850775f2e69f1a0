/** The service keeps its history by itself: a start retires what has grown old, beside whoever else runs. */
import { Client } from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { ensurePartitions, listPartitions } from "../../src/store/partitions.ts";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { DAY_MS, insertDelivery, insertEvent } from "./history.ts";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

test("what is too old goes, what is still owed of it has failed as expired, and all of it can be read meanwhile", async () => {
  const { pool, api } = service;
  const { id } = await createForwardingWebhook(service, "https://example.com/hook");
  const { rows } = await pool.query("select organization_id from webhooks where id = $1", [id]);
  const webhook = { id, organizationId: rows[0].organization_id };
  const client = new Client({ connectionString: service.databaseUrl });
  await client.connect();
  const oldest = Date.now() - 35 * DAY_MS;
  await ensurePartitions(client, oldest, { daysAhead: 6, widthDays: 1 });
  const gone = await insertEvent(pool, webhook, oldest);
  const kept = await insertEvent(pool, webhook, Date.now() - 30.5 * DAY_MS);
  await pool.query("update webhooks set status = 'paused' where id = $1", [id]);
  const owed = await insertDelivery(pool, webhook, kept, Date.now() - 30.5 * DAY_MS, {
    status: "paused",
    queued: { held: true },
  });
  // One that came while the clock of the process that received it was wrong.
  vi.useFakeTimers({ toFake: ["Date"], now: oldest });
  const received = await api.post("/webhooks/test", { webhookId: id }).finally(() => vi.useRealTimers());

  const replica = await startService({ replicaOf: service });
  try {
    await eventually("old partitions are dropped", async () => {
      const names = (await listPartitions(client, "delivery_attempts")).filter(({ fromMs }) => fromMs <= oldest);
      return names.length === 0;
    });
    expect((await api.get(`/webhooks/events/${gone}`)).status).toBe(404);
    expect((await api.get(`/webhooks/events/${kept}`)).status).toBe(200);
    expect((await api.get(`/webhooks/events/${received.body.id}`)).status).toBe(200);
    const { body: delivery } = await api.get(`/webhooks/deliveries/${owed}`);
    expect(delivery).toMatchObject({ status: "failed", attemptCount: 1, response: { errorCode: "expired" } });
    const { body: list } = await api.get(`/webhooks/${id}/events`);
    expect(list.items.map((event: { id: string }) => event.id)).toEqual([received.body.id, kept]);
  } finally {
    await replica.stop();
    await client.end();
  }
});
