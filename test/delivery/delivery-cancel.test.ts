/** Giving up one delivery: what waits or is held ends; what is under way or finished stays as it is. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { conflict, notFound, refusal } from "../api/refusal.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, outline } from "./forwarding.ts";

const DAY_MS = 86_400_000;
const CANCELED = { status: "canceled", completedAt: expect.any(String), nextAttemptAt: null };
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService({ env: { DELIVERY_SCHEDULE: "0s,20ms,5s,1h,2h" } });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

const cancel = async (eventId: string) =>
  await service.api.post(`/webhooks/deliveries/${(await webhook.deliveryOf(eventId)).id}/cancel`);

const queued = async (eventId: string) =>
  (await service.pool.query("select 1 from delivery_queue where event_id = $1", [eventId])).rowCount;

test("one that waits in the queue: nothing more is sent, until it is retried", async () => {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  // Its quick wait is given up for the queue.
  await service.pool.query("update delivery_queue set lease_token = null where event_id = $1", [eventId]);
  expect(await cancel(eventId)).toMatchObject({ status: 200, body: { ...CANCELED, attemptCount: 2 } });
  expect(await queued(eventId)).toBe(0);
  await service.advanceQueue(DAY_MS);
  expect(refusal(await cancel(eventId))).toEqual(conflict);
  expect(destination.arrivals).toHaveLength(2);
  destination.behave(answer(200));
  const { id } = await webhook.deliveryOf(eventId);
  expect((await service.api.post(`/webhooks/deliveries/${id}/retry`)).status).toBe(200);
  const done = await webhook.settled(eventId, "succeeded");
  expect(outline(done)).toEqual(["1 scheduled http_status", "2 scheduled http_status", "3 manual succeeded"]);
});

test("one in a quick wait: its worker finds it gone", async () => {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  expect(await cancel(eventId)).toMatchObject({ status: 200, body: CANCELED });
  expect(await queued(eventId)).toBe(0);
  // Long before the try that was to follow; a later event shows that the worker goes on.
  const later = await webhook.sendEvent();
  await webhook.settled(later, "pending", 2);
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ ...CANCELED, attemptCount: 2 });
});

test("one that is held: a resume does not bring it back", async () => {
  await webhook.patch({ status: "paused" });
  const eventId = await webhook.sendEvent();
  expect(await cancel(eventId)).toMatchObject({ status: 200, body: { ...CANCELED, attemptCount: 0 } });
  const kept = await webhook.sendEvent();
  await webhook.patch({ status: "active" });
  await webhook.settled(kept, "succeeded");
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "canceled", attempts: [] });
  expect(destination.arrivals).toHaveLength(1);
});

test("CONFLICT while an attempt is under way, which goes on", async () => {
  let finish = () => {};
  destination.behave((_arrival, response) => {
    finish = () => response.end();
  });
  const eventId = await webhook.sendEvent();
  await destination.arrived(1);
  const refused = await cancel(eventId);
  expect(refusal(refused)).toEqual(conflict);
  expect(refused.body.error.message).toContain("try again when it has ended");
  finish();
  await webhook.settled(eventId, "succeeded", 1);
  const finished = await cancel(eventId);
  expect(refusal(finished)).toEqual(conflict);
  expect(finished.body.error.message).toContain("finished");
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "succeeded" });
});

test("one of another organization, or none, is NOT_FOUND and stays as it is", async () => {
  await webhook.patch({ status: "paused" });
  const eventId = await webhook.sendEvent();
  const { id } = await webhook.deliveryOf(eventId);
  const other = await service.otherOrganization();
  expect(refusal(await other.post(`/webhooks/deliveries/${id}/cancel`))).toEqual(notFound);
  expect(refusal(await service.api.post(`/webhooks/deliveries/${webhook.id}/cancel`))).toEqual(notFound);
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "paused" });
});
