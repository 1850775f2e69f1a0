/** Deliveries over REST: lists, one delivery with its attempts, the manual retry and its conflicts. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, conflict, notFound, refusal } from "./refusal.ts";

const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
const aTime = expect.stringMatching(TIME);

let service: TestService;
let destination: Destination;
let webhook: { id: string; receiveUrl: string; secret: string };

beforeAll(async () => {
  service = await startService({ env: { DELIVERY_SCHEDULE: "0s,1h" } });
});
afterAll(async () => {
  await service?.stop();
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = (await service.api.post("/webhooks", { name: "w", url: destination.url })).body;
  return async () => await destination.close();
});

async function receive(): Promise<string> {
  const body = '{"type":"t"}';
  return (await send(webhook.receiveUrl, body, hubSignature(webhook.secret, body))).body.eventId;
}

const list = async () => (await service.api.get(`/webhooks/${webhook.id}/deliveries`)).body.items;
const get = async (id: string) => (await service.api.get(`/webhooks/deliveries/${id}`)).body;
const retry = (id: string) => service.api.post(`/webhooks/deliveries/${id}/retry`);

/** The webhook's delivery once `attempts` attempts are recorded and none is under way. */
const recorded = (attempts: number) =>
  eventually(`${attempts} attempts recorded`, async () => {
    const [delivery] = await list();
    return delivery?.attemptCount === attempts && delivery.status !== "delivering" && delivery.response && delivery;
  });

test("a delivery that succeeded, in lists and by itself", async () => {
  destination.behave(answer(201, { "x-answer": "yes", "content-type": "text/plain" }, "thanks"));
  const eventId = await receive();
  const summary = await recorded(1);
  expect(summary).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    webhookId: webhook.id,
    eventId,
    eventType: "t",
    url: destination.url,
    status: "succeeded",
    retryCount: 0,
    attemptCount: 1,
    nextAttemptAt: null,
    createdAt: aTime,
    updatedAt: aTime,
    completedAt: aTime,
    response: {
      statusCode: 201,
      body: "thanks",
      headers: expect.objectContaining({ "x-answer": "yes" }),
      durationMs: expect.any(Number),
      errorCode: null,
      errorMessage: null,
    },
  });
  const delivery = await get(summary.id);
  expect(delivery).toEqual({ ...summary, attempts: delivery.attempts });
  expect(delivery.attempts).toEqual([
    {
      number: 1,
      trigger: "scheduled",
      status: "succeeded",
      startedAt: aTime,
      durationMs: summary.response.durationMs,
      statusCode: 201,
      errorCode: null,
      errorMessage: null,
      requestHeaders: expect.objectContaining({ "webhook-id": eventId, "alumia-attempt": "1" }),
      responseHeaders: summary.response.headers,
      responseBody: "thanks",
      responseTruncated: false,
      remoteAddress: expect.stringContaining("127.0.0.1"),
      nextAttemptAt: null,
      url: destination.url,
      times: {
        ...{ dnsMs: null, connectMs: expect.any(Number), tlsMs: null, firstByteMs: expect.any(Number) },
        totalMs: summary.response.durationMs,
      },
      willRetry: false,
    },
  ]);
  const counted = (await service.api.get(`/webhooks/${webhook.id}`)).body;
  expect([counted.deliveryCount, counted.lastDeliveryAt]).toEqual([1, aTime]);
});

test("a delivery that failed waits for its next attempt, which a retry does not take away", async () => {
  destination.behave(answer(500, {}, "broken"));
  await receive();
  const { id } = await recorded(1);
  expect(await get(id)).toMatchObject({
    status: "pending",
    retryCount: 0,
    nextAttemptAt: aTime,
    completedAt: null,
    response: { statusCode: 500, body: "broken", errorCode: "http_status", errorMessage: expect.any(String) },
  });
  const retried = await retry(id);
  expect(retried).toMatchObject({ status: 200, body: { id, status: "pending", nextAttemptAt: aTime } });
  const after = await recorded(2);
  const { attempts, nextAttemptAt } = await get(id);
  expect([after.retryCount, after.attemptCount, after.status]).toEqual([1, 2, "pending"]);
  expect(attempts.map((it: { trigger: string }) => it.trigger)).toEqual(["scheduled", "manual"]);
  expect(Date.parse(nextAttemptAt) - Date.parse(attempts[0].startedAt)).toBeGreaterThan(40 * 60_000);
  await service.advanceQueue(2 * 3_600_000);
  const failed = await recorded(3);
  expect([failed.status, failed.nextAttemptAt, failed.completedAt]).toEqual(["failed", null, aTime]);
  const counted = (await service.api.get(`/webhooks/${webhook.id}`)).body;
  expect(counted.deliveryCount).toBe(1);
});

test("a finished delivery may be retried", async () => {
  await receive();
  const { id } = await recorded(1);
  expect((await retry(id)).body).toMatchObject({ status: "pending", completedAt: null, attemptCount: 1 });
  expect(await recorded(2)).toMatchObject({ id, status: "succeeded", retryCount: 1, completedAt: aTime });
});

test("CONFLICT while an attempt is under way", async () => {
  let finish = () => {};
  destination.behave((_arrival, response) => {
    finish = () => response.end();
  });
  await receive();
  await destination.arrived(1);
  const [{ id }] = await list();
  const refused = await retry(id);
  expect(refusal(refused)).toEqual(conflict);
  expect(refused.body.error.message).toContain("under way");
  finish();
  expect(await recorded(1)).toMatchObject({ status: "succeeded" });
  expect(destination.arrivals).toHaveLength(1);
});

test.each<[string, object, string]>([
  ["is paused", { status: "paused" }, "not active"],
  ["is disabled", { status: "disabled" }, "not active"],
  ["has stopped forwarding", { forwarding: { state: "stopped" } }, "stopped"],
  ["has no url any more", { url: null }, "no url"],
])("CONFLICT while the webhook %s", async (_what, patch, message) => {
  await receive();
  const { id } = await recorded(1);
  await service.api.patch(`/webhooks/${webhook.id}`, patch);
  const before = await get(id);
  const refused = await retry(id);
  expect(refusal(refused)).toEqual(conflict);
  expect(refused.body.error.message).toContain(message);
  expect(await get(id)).toEqual(before);
});

test("what waits is shown as paused, goes on when active, and is canceled without a url", async () => {
  await service.api.patch(`/webhooks/${webhook.id}`, { status: "paused" });
  await receive();
  const [waiting] = await list();
  expect(waiting).toMatchObject({ status: "paused", attemptCount: 0, response: null, completedAt: null });
  expect((await get(waiting.id)).attempts).toEqual([]);
  const filtered = await service.api.get(`/webhooks/${webhook.id}/deliveries?status=paused`);
  expect(filtered.body.items).toEqual([waiting]);
  await service.api.patch(`/webhooks/${webhook.id}`, { url: null });
  expect(await list()).toMatchObject([{ id: waiting.id, status: "canceled", completedAt: aTime, nextAttemptAt: null }]);
  await service.api.patch(`/webhooks/${webhook.id}`, { url: destination.url, status: "active" });
  await receive();
  const [arrival] = await destination.arrived(1);
  expect(arrival?.headers["webhook-id"]).not.toBe(waiting.eventId);
});

test.each([
  ["GET", "/webhooks/deliveries/ID"],
  ["POST", "/webhooks/deliveries/ID/retry"],
])("%s %s of an unknown id is NOT_FOUND, of no UUID BAD_REQUEST", async (method, path) => {
  const body = method === "POST" ? {} : undefined;
  expect(refusal(await service.api.call(method, path.replace("ID", UNKNOWN_ID), body))).toEqual(notFound);
  expect(refusal(await service.api.call(method, path.replace("ID", "1"), body))).toEqual(badRequest("id string.uuid"));
});
