/** Manual retries and replays. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, msBetween, outline } from "./forwarding.ts";

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

/** Asks for a retry of the event's only delivery. */
async function retry(eventId: string) {
  return await service.api.post(`/webhooks/deliveries/${(await webhook.deliveryOf(eventId)).id}/retry`);
}

async function sendAndFail(): Promise<string> {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  return eventId;
}

test("a succeeded delivery is sent once more, as the same event", async () => {
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "succeeded");
  const asked = await retry(eventId);
  expect(asked).toMatchObject({ status: 200, body: { status: "pending", completedAt: null } });
  const again = await webhook.settled(eventId, "succeeded", 2);
  expect(outline(again)).toEqual(["1 scheduled succeeded", "2 manual succeeded"]);
  expect(destination.arrivals.map((arrival) => arrival.headers["webhook-id"])).toEqual([eventId, eventId]);
  expect(await webhook.read()).toMatchObject({ deliveryCount: 1 });
});

test("a succeeded delivery whose retry fails is failed, and is not tried again by itself", async () => {
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "succeeded");
  destination.behave(answer(500));
  await retry(eventId);
  const failed = await webhook.settled(eventId, "failed");
  expect(outline(failed)).toEqual(["1 scheduled succeeded", "2 manual http_status"]);
  await service.advanceQueue(10 * DAY_MS);
  expect(destination.arrivals).toHaveLength(2);
});

test("a failed delivery can be retried, any number of times", async () => {
  const eventId = await sendAndFail();
  await service.advanceQueue(DAY_MS);
  await webhook.settled(eventId, "pending", 3);
  await service.advanceQueue(DAY_MS);
  await webhook.settled(eventId, "failed", 4);
  await retry(eventId);
  await webhook.settled(eventId, "failed", 5);
  destination.behave(answer(200));
  await retry(eventId);
  const done = await webhook.settled(eventId, "succeeded");
  expect(outline(done).slice(3)).toEqual(["4 scheduled http_status", "5 manual http_status", "6 manual succeeded"]);
  expect(done).toMatchObject({ retryCount: 5 });
});

test("a waiting delivery: after a manual try that fails the schedule goes on where it was", async () => {
  const eventId = await sendAndFail();
  const before = await webhook.deliveryOf(eventId);
  await retry(eventId);
  const after = await webhook.settled(eventId, "pending", 3);
  expect(outline(after)[2]).toBe("3 manual http_status");
  // The time is kept to the second; two clocks take part.
  expect(Math.abs(msBetween(before.nextAttemptAt, after.nextAttemptAt))).toBeLessThan(2_000);
  expect(after.attempts[2].nextAttemptAt).toBe(after.nextAttemptAt);
  await service.advanceQueue(DAY_MS);
  await webhook.settled(eventId, "pending", 4);
  await service.advanceQueue(DAY_MS);
  expect(outline(await webhook.settled(eventId, "failed")).slice(2)).toEqual([
    "3 manual http_status",
    "4 scheduled http_status",
    "5 scheduled http_status",
  ]);
});

test("the schedule goes on by the database's clock, wherever the service's own has jumped", async () => {
  const clock = new ManualClock();
  const own = await startService({ clock });
  try {
    const forwarding = await createForwardingWebhook(own, destination.url);
    destination.behave(answer(500));
    const eventId = await forwarding.sendEvent();
    const before = await forwarding.settled(eventId, "pending", 2);
    for (const [jumpMs, attempts] of [
      [DAY_MS, 3],
      [-2 * DAY_MS, 4],
    ] as const) {
      clock.advance(jumpMs);
      await own.api.post(`/webhooks/deliveries/${before.id}/retry`);
      const after = await forwarding.settled(eventId, "pending", attempts);
      expect(Math.abs(msBetween(before.nextAttemptAt, after.nextAttemptAt))).toBeLessThanOrEqual(1);
    }
  } finally {
    await own.stop();
  }
});

test("a waiting delivery: a manual try that succeeds ends it", async () => {
  const eventId = await sendAndFail();
  destination.behave(answer(200));
  await retry(eventId);
  await webhook.settled(eventId, "succeeded", 3);
  await service.advanceQueue(10 * DAY_MS);
  expect(destination.arrivals).toHaveLength(3);
});

test("CONFLICT while an attempt is under way, scheduled or manual", async () => {
  let answering = Promise.withResolvers<() => void>();
  destination.behave((_arrival, response) => answering.resolve(() => response.writeHead(200).end()));
  const eventId = await webhook.sendEvent();
  const finishFirst = await answering.promise;
  expect(await retry(eventId)).toMatchObject({ status: 409, body: { error: { code: "CONFLICT" } } });
  answering = Promise.withResolvers();
  finishFirst();
  await webhook.settled(eventId, "succeeded", 1);

  expect((await retry(eventId)).status).toBe(200);
  const finishSecond = await answering.promise;
  expect(await retry(eventId)).toMatchObject({ status: 409 });
  finishSecond();
  await webhook.settled(eventId, "succeeded", 2);
  expect(destination.arrivals).toHaveLength(2);
});

test("no CONFLICT in a quick wait: the manual try takes its place, and the schedule goes on", async () => {
  const quick = await startService({ env: { DELIVERY_SCHEDULE: "0s,9s,1h" } });
  const waitingWebhook = await createForwardingWebhook(quick, destination.url);
  destination.behave(answer(500));
  const eventId = await waitingWebhook.sendEvent();
  const waiting = await waitingWebhook.settled(eventId, "pending", 1);
  expect((await quick.api.post(`/webhooks/deliveries/${waiting.id}/retry`)).status).toBe(200);
  const tried = await waitingWebhook.settled(eventId, "pending", 2);
  expect(outline(tried)).toEqual(["1 scheduled http_status", "2 manual http_status"]);
  expect(Math.abs(msBetween(waiting.nextAttemptAt, tried.nextAttemptAt))).toBeLessThan(2_000);
  await quick.stop();
});

test("a retry without a url, of a canceled delivery, of none", async () => {
  const eventId = await sendAndFail();
  await webhook.patch({ url: null });
  expect(await retry(eventId)).toMatchObject({ status: 409, body: { error: { code: "CONFLICT" } } });
  await webhook.patch({ url: destination.url });
  destination.behave(answer(200));
  expect((await retry(eventId)).status).toBe(200);
  expect(outline(await webhook.settled(eventId, "succeeded"))[2]).toBe("3 manual succeeded");
  const unknown = await service.api.post(`/webhooks/deliveries/${webhook.id}/retry`);
  expect(unknown).toMatchObject({ status: 404, body: { error: { code: "NOT_FOUND" } } });
});

test("a replay is a new delivery of the same event, bytes and id", async () => {
  const body = '{ "type": "order.paid",  "n": 1 }';
  const eventId = await webhook.sendEvent(body);
  const first = await webhook.settled(eventId, "succeeded");
  const elsewhere = await startDestination();
  await webhook.patch({ url: elsewhere.url });
  const replayed = await service.api.post(`/webhooks/events/${eventId}/replay`);
  expect(replayed.status).toBe(200);
  const [arrival] = await elsewhere.arrived(1);
  expect(arrival?.body.toString()).toBe(body);
  expect(arrival?.headers).toMatchObject({ "webhook-id": eventId, "alumia-attempt": "1" });
  const [, second] = await webhook.deliveriesOf(eventId);
  expect(second.id).not.toBe(first.id);
  expect(second.url).toBe(elsewhere.url);
  expect(await webhook.deliveriesOf(eventId).then(([one]) => one)).toEqual(first);
  expect(destination.arrivals).toHaveLength(1);
  await elsewhere.close();
});

test("a replay of what is paused is held; without a url or off the allowlist it makes nothing", async () => {
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "succeeded");
  await webhook.patch({ status: "paused" });
  await service.api.post(`/webhooks/events/${eventId}/replay`);
  const [, held] = await webhook.deliveriesOf(eventId);
  expect(held).toMatchObject({ status: "paused", attemptCount: 0 });
  await webhook.patch({ status: "active", events: ["invoice.*"] });
  await destination.arrived(2);
  expect((await service.api.post(`/webhooks/events/${eventId}/replay`)).status).toBe(200);
  await webhook.patch({ events: [], url: null });
  expect((await service.api.post(`/webhooks/events/${eventId}/replay`)).status).toBe(200);
  expect(await webhook.deliveriesOf(eventId)).toHaveLength(2);
});
