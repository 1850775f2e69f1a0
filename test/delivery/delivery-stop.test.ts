/** A destination that answers 410 gets nothing more until a person resumes; nothing that it is owed is lost. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, outline } from "./forwarding.ts";

const DAY_MS = 86_400_000;
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService();
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

/** An event that waits in the queue, one that was answered 410, one that came after. */
async function stopWithThreeOwed() {
  destination.behave(answer(500));
  const waiting = await webhook.sendEvent('{"n":1}');
  await webhook.settled(waiting, "pending", 2);
  destination.behave(answer(410, {}, "gone"));
  const refused = await webhook.sendEvent('{"n":2}');
  await webhook.settled(refused, "paused", 1);
  const later = await webhook.sendEvent('{"n":3}');
  return { waiting, refused, later };
}

test("410 stops forwarding with its reason, and what is owed and what comes is held", async () => {
  const { waiting, refused, later } = await stopWithThreeOwed();
  const stopped = await webhook.read();
  expect(stopped).toMatchObject({ status: "active", enabled: true, forwarding: { state: "stopped", reason: "gone" } });
  expect(stopped.forwarding.stoppedAt).not.toBeNull();
  const refusedDelivery = await webhook.deliveryOf(refused);
  expect(outline(refusedDelivery)).toEqual(["1 scheduled http_status"]);
  expect(refusedDelivery.response).toMatchObject({ statusCode: 410, body: "gone" });
  expect(await webhook.deliveryOf(waiting)).toMatchObject({ status: "paused", attemptCount: 2, completedAt: null });
  expect(await webhook.deliveryOf(later)).toMatchObject({ status: "paused", attemptCount: 0, response: null });

  await service.advanceQueue(10 * DAY_MS);
  await eventually("all three are held", async () => {
    const { rows } = await service.pool.query<{ count: number }>(
      "select count(*)::int as count from delivery_queue where webhook_id = $1 and held and lease_token is null",
      [webhook.id],
    );
    return rows[0]?.count === 3;
  });
  expect(destination.arrivals).toHaveLength(3);
});

test("resuming delivers everything that was held", async () => {
  const { waiting, refused, later } = await stopWithThreeOwed();
  // Longer than the schedule's wait after a first attempt, shorter than that after a second.
  await service.advanceQueue(1_000);
  destination.behave(answer(200));
  const resumed = await webhook.patch({ forwarding: { state: "active" } });
  expect(resumed.forwarding).toMatchObject({ state: "active", reason: null, stoppedAt: null });
  await webhook.settled(later, "succeeded", 1);
  const second = await webhook.settled(refused, "succeeded");
  expect(outline(second)).toEqual(["1 scheduled http_status", "2 resume succeeded"]);
  await service.advanceQueue(DAY_MS);
  expect(await webhook.settled(waiting, "succeeded")).toMatchObject({ attemptCount: 3 });
  expect(destination.arrivals).toHaveLength(6);
  expect(await webhook.read()).toMatchObject({ deliveryCount: 3 });
});

test("another url is another destination: what was held goes there", async () => {
  const { later } = await stopWithThreeOwed();
  const elsewhere = await startDestination();
  const moved = await webhook.patch({ url: elsewhere.url });
  expect(moved.forwarding).toMatchObject({ state: "active", reason: null });
  expect(await webhook.settled(later, "succeeded")).toMatchObject({ url: elsewhere.url });
  expect(elsewhere.arrivals.map((arrival) => arrival.body.toString())).toContain('{"n":3}');
  expect(destination.arrivals).toHaveLength(3);
  await elsewhere.close();
});

test("a retry while stopped is refused and changes nothing", async () => {
  const { refused } = await stopWithThreeOwed();
  const before = await webhook.deliveryOf(refused);
  const answered = await service.api.post(`/webhooks/deliveries/${before.id}/retry`);
  expect(answered).toMatchObject({ status: 409, body: { error: { code: "CONFLICT" } } });
  expect(await webhook.deliveryOf(refused)).toEqual(before);
});

test("a 410 on the last scheduled attempt holds the delivery too", async () => {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  await service.advanceQueue(DAY_MS);
  await webhook.settled(eventId, "pending", 3);
  destination.behave(answer(410));
  await service.advanceQueue(DAY_MS);
  const held = await webhook.settled(eventId, "paused", 4);
  expect(destination.arrivals).toHaveLength(4);
  destination.behave(answer(200));
  await webhook.patch({ forwarding: { state: "active" } });
  const done = await webhook.settled(eventId, "succeeded", 5);
  expect(done.id).toBe(held.id);
});

test("forwarding may be stopped by hand, and says so", async () => {
  const stopped = await webhook.patch({ forwarding: { state: "stopped" } });
  expect(stopped.forwarding).toMatchObject({ state: "stopped", reason: "manual" });
  const eventId = await webhook.sendEvent();
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "paused", attemptCount: 0 });
  await webhook.patch({ forwarding: { state: "active" } });
  await webhook.settled(eventId, "succeeded", 1);
  await eventually("counted", async () => (await webhook.read()).deliveryCount === 1);
});
