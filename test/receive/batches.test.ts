/** Requests that bring several events: wanted if any of them is, and never taken for repeats. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf } from "./senders.ts";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

async function post({ receiveUrl, secret }: CreatedWebhook, ...types: string[]) {
  const body = JSON.stringify({ events: types.map((type, index) => ({ type, webhookEventId: `e${index}` })) });
  const signature = createHmac("sha256", secret).update(body).digest("base64");
  return await send(receiveUrl, body, { "x-line-signature": signature, "content-type": "application/json" });
}

test("an allowlist lets a batch through for any of its events, then and when it is replayed", async () => {
  const webhook = await createWebhook(service.api, { source: "line", url: destination.url, events: ["follow"] });
  await post(webhook, "message", "unfollow");
  const { body } = await post(webhook, "message", "follow", "message");
  await destination.arrived(1);
  const events = await eventsOf(service.api, webhook);
  expect(events.map(({ type, status, sourceEventId }) => [type, status, sourceEventId])).toEqual([
    ["message", "received", null],
    ["message", "filtered", null],
  ]);
  const replayed = await service.api.post(`/webhooks/events/${body.eventId}/replay`);
  expect(replayed.body.deliveries).toHaveLength(1);
  const skipped = await service.api.post(`/webhooks/events/${events[1]?.id}/replay`);
  expect(skipped.body.deliveries).toHaveLength(0);
  await destination.arrived(2);
});

test("equal batches are events of their own", async () => {
  const webhook = await createWebhook(service.api, { source: "line" });
  const answers = [
    await post(webhook, "a", "b"),
    await post(webhook, "a", "b"),
    await post(webhook, "a"),
    await post(webhook, "a"),
  ];
  expect(answers.map(({ status, body }) => [status, body.duplicate])).toEqual(Array(4).fill([200, false]));
  expect((await eventsOf(service.api, webhook)).map(({ sourceEventId }) => sourceEventId)).toEqual([
    "e0",
    "e0",
    null,
    null,
  ]);
});
