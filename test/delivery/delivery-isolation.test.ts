/** One destination's trouble stays its own: it holds no more than its share, and its backlog waits in the queue. */
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook } from "./forwarding.ts";

const CONCURRENCY = 4;
let service: TestService;
let slow: Destination;
let healthy: Destination;

beforeAll(async () => {
  const env = { DELIVERY_CONCURRENCY: String(CONCURRENCY), DELIVERY_TIMEOUT_MS: "60000" };
  [service, slow, healthy] = await Promise.all([startService({ env }), startDestination(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), slow?.close(), healthy?.close()]);
});

test("a destination that does not answer holds its share; others are delivered to, and its backlog follows in turn", async () => {
  const open: ServerResponse[] = [];
  slow.behave((_arrival, response) => open.push(response));
  const stuck = await createForwardingWebhook(service, slow.url);
  const events = await Promise.all(Array.from({ length: 20 }, (_, n) => stuck.sendEvent(JSON.stringify({ n }))));
  await slow.arrived(CONCURRENCY / 2);

  const fine = await createForwardingWebhook(service, healthy.url);
  for (let n = 0; n < 5; n++) await fine.settled(await fine.sendEvent(), "succeeded", 1);
  expect(slow.arrivals).toHaveLength(CONCURRENCY / 2);

  slow.behave(answer(200));
  for (const response of open) response.writeHead(200).end();
  for (const eventId of events) await stuck.settled(eventId, "succeeded", 1);
  expect(slow.arrivals).toHaveLength(events.length);
});

test("a resume releases a backlog of any size, and what is held meanwhile is delivered once", async () => {
  const webhook = await createForwardingWebhook(service, healthy.url);
  await webhook.patch({ status: "paused" });
  const eventId = await webhook.sendEvent();
  const held = async () =>
    (
      await service.pool.query<{ held: number }>(
        "select count(*) filter (where held)::int as held from delivery_queue where webhook_id = $1",
        [webhook.id],
      )
    ).rows[0]?.held;
  await eventually("held", async () => (await held()) === 1);
  const backlog = 2_500;
  await service.pool.query(
    `with owed as (
       insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
       select gen_random_uuid(), d.organization_id, d.webhook_id, d.webhook_id, d.event_id, d.url, 'paused', now(), now()
       from deliveries d, generate_series(1, $2) where d.event_id = $1 returning *
     )
     insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, held)
     select id, organization_id, webhook_id, destination_id, event_id, now(), true from owed`,
    [eventId, backlog],
  );
  const before = healthy.arrivals.length;
  await webhook.patch({ status: "active" });
  await healthy.arrived(before + backlog + 1);
  await eventually("all recorded", async () => {
    const { rows } = await service.pool.query<{ owed: number }>(
      "select count(*)::int as owed from delivery_queue where webhook_id = $1",
      [webhook.id],
    );
    return rows[0]?.owed === 0;
  });
  expect(healthy.arrivals).toHaveLength(before + backlog + 1);
  const { rows: notes } = await service.pool.query("select 1 from releases");
  expect(notes).toEqual([]);
});
