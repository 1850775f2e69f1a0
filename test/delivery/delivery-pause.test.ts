/** What a change of the webhook means for what it still owes: pause, resume, another url, no url, delete. */
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

/** An event whose delivery has failed twice and waits an hour. */
async function sendAndFail(): Promise<string> {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent('{"n":0}');
  await webhook.settled(eventId, "pending", 2);
  return eventId;
}

const owed = async () =>
  (await service.pool.query("select delivery_id from delivery_queue where webhook_id = $1", [webhook.id])).rows.length;

test("paused: events are recorded and held with what is owed; active again: all of it is delivered", async () => {
  const waiting = await sendAndFail();
  await webhook.patch({ status: "paused" });
  destination.behave(answer(200));
  const held = await webhook.sendEvent('{"n":1}');
  expect(await webhook.deliveryOf(waiting)).toMatchObject({ status: "paused", attemptCount: 2 });
  expect(await webhook.deliveryOf(held)).toMatchObject({ status: "paused", attemptCount: 0 });
  await service.advanceQueue(DAY_MS);
  const refused = await service.api.post(`/webhooks/deliveries/${(await webhook.deliveryOf(held)).id}/retry`);
  expect(refused).toMatchObject({ status: 409, body: { error: { code: "CONFLICT" } } });
  expect(destination.arrivals).toHaveLength(2);

  await webhook.patch({ enabled: true });
  expect(await webhook.settled(held, "succeeded")).toMatchObject({ attemptCount: 1 });
  expect(await webhook.settled(waiting, "succeeded")).toMatchObject({ attemptCount: 3 });
  expect(destination.arrivals).toHaveLength(4);
  expect(await owed()).toBe(0);
});

test("a pause during an attempt lets it end; the retry that it needs is held", async () => {
  const answering = Promise.withResolvers<() => void>();
  destination.behave((_arrival, response) => answering.resolve(() => response.writeHead(500).end()));
  const eventId = await webhook.sendEvent();
  const finish = await answering.promise;
  await webhook.patch({ status: "paused" });
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "delivering", attemptCount: 0 });
  destination.behave(answer(200));
  finish();
  const held = await webhook.settled(eventId, "paused", 1);
  expect(outline(held)).toEqual(["1 scheduled http_status"]);
  expect(destination.arrivals).toHaveLength(1);
  await service.advanceQueue(1_000);
  await webhook.patch({ status: "active" });
  expect(outline(await webhook.settled(eventId, "succeeded"))).toEqual([
    "1 scheduled http_status",
    "2 resume succeeded",
  ]);
});

test("another url: the next attempt of what is owed goes there", async () => {
  const eventId = await sendAndFail();
  const elsewhere = await startDestination();
  await webhook.patch({ url: elsewhere.url });
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "pending", url: elsewhere.url });
  await service.advanceQueue(DAY_MS);
  const done = await webhook.settled(eventId, "succeeded", 3);
  expect(done.url).toBe(elsewhere.url);
  expect(done.attempts.map((one: { url: string }) => one.url)).toEqual([
    destination.url,
    destination.url,
    elsewhere.url,
  ]);
  expect(elsewhere.arrivals[0]?.headers["alumia-attempt"]).toBe("3");
  expect(elsewhere.arrivals).toHaveLength(1);
  expect(destination.arrivals).toHaveLength(2);
  await elsewhere.close();
});

test.each([null, "", "its own receive url"])(
  "url cleared (%j): what is owed is canceled, nothing is sent",
  async (url) => {
    const eventId = await sendAndFail();
    await webhook.patch({ url: url === "its own receive url" ? webhook.receiveUrl : url });
    const canceled = await webhook.deliveryOf(eventId);
    expect(canceled).toMatchObject({ status: "canceled", attemptCount: 2, nextAttemptAt: null });
    expect(canceled.completedAt).not.toBeNull();
    expect(await owed()).toBe(0);
    await service.advanceQueue(DAY_MS);
    const later = await webhook.sendEvent('{"n":1}');
    expect(await webhook.deliveriesOf(later)).toEqual([]);
    expect(destination.arrivals).toHaveLength(2);
  },
);

test("url cleared while paused: what is held is canceled", async () => {
  await webhook.patch({ status: "paused" });
  const eventId = await webhook.sendEvent();
  await webhook.patch({ url: null });
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "canceled", attemptCount: 0 });
  await webhook.patch({ status: "active", url: destination.url });
  await service.advanceQueue(DAY_MS);
  const later = await webhook.sendEvent('{"n":1}');
  await webhook.settled(later, "succeeded");
  expect(destination.arrivals).toHaveLength(1);
});

test("url cleared during an attempt that fails: the delivery is canceled when its next try would be due", async () => {
  const answering = Promise.withResolvers<() => void>();
  destination.behave((_arrival, response) => answering.resolve(() => response.writeHead(500).end()));
  const eventId = await webhook.sendEvent();
  const finish = await answering.promise;
  await webhook.patch({ url: null });
  finish();
  expect(outline(await webhook.settled(eventId, "canceled"))).toEqual(["1 scheduled http_status"]);
  expect(destination.arrivals).toHaveLength(1);
  expect(await owed()).toBe(0);
});

test("a deleted webhook delivers nothing more", async () => {
  await sendAndFail();
  expect(await service.api.delete(`/webhooks/${webhook.id}`)).toMatchObject({ body: { deleted: true } });
  await service.advanceQueue(DAY_MS);
  await eventually("nothing is owed", async () => (await owed()) === 0);
  expect(destination.arrivals).toHaveLength(2);
});

test("disabled: what is owed waits, and is delivered when the webhook is active again", async () => {
  const eventId = await sendAndFail();
  await webhook.patch({ status: "disabled" });
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "paused" });
  destination.behave(answer(200));
  await webhook.patch({ status: "active" });
  await service.advanceQueue(DAY_MS);
  expect(await webhook.settled(eventId, "succeeded")).toMatchObject({ attemptCount: 3 });
});
