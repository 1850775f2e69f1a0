/** A destination that fails: quick tries, then the queue, until it recovers or the schedule is exhausted. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, msBetween, outline } from "./forwarding.ts";

const HOUR_MS = 3_600_000;
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  // The schedule of the tests: 0s,20ms,1h,2h. The first two tries are quick, the others wait in the queue.
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

const queueRows = async (deliveryId: string) =>
  (await service.pool.query("select * from delivery_queue where delivery_id = $1", [deliveryId])).rows;

test("it fails, then recovers: a quick try, then the queue, and every attempt is told", async () => {
  destination.behave((arrival, response, count) =>
    answer(count < 3 ? 500 : 200, {}, `answer ${count}`)(arrival, response, count),
  );
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 2);
  expect(outline(waiting)).toEqual(["1 scheduled http_status", "2 scheduled http_status"]);
  expect(waiting).toMatchObject({ retryCount: 1, completedAt: null, response: { statusCode: 500, body: "answer 2" } });
  const waitMs = msBetween(waiting.attempts[1].startedAt, waiting.nextAttemptAt);
  expect(waitMs).toBeGreaterThanOrEqual(0.9 * HOUR_MS);
  expect(waitMs).toBeLessThan(1.1 * HOUR_MS + 60_000);
  expect(waiting.attempts[1].nextAttemptAt).toBe(waiting.nextAttemptAt);

  await service.advanceQueue(0.8 * HOUR_MS);
  await service.advanceQueue(0.35 * HOUR_MS);
  const done = await webhook.settled(eventId, "succeeded");
  expect(outline(done)).toEqual(["1 scheduled http_status", "2 scheduled http_status", "3 scheduled succeeded"]);
  expect(done).toMatchObject({
    retryCount: 2,
    attemptCount: 3,
    nextAttemptAt: null,
    url: destination.url,
    response: { statusCode: 200, body: "answer 3", errorCode: null, errorMessage: null },
  });
  expect(done.attempts[2]).toMatchObject({ nextAttemptAt: null, remoteAddress: "127.0.0.1", responseBody: "answer 3" });
  expect(done.completedAt).not.toBeNull();
  expect(await queueRows(done.id)).toEqual([]);
  expect(destination.arrivals.map((arrival) => arrival.headers["alumia-attempt"])).toEqual(["1", "2", "3"]);
  expect(new Set(destination.arrivals.map((arrival) => arrival.headers["webhook-id"]))).toEqual(new Set([eventId]));

  const last = done.attempts[2];
  expect(await webhook.read()).toMatchObject({
    deliveryCount: 1,
    lastDeliveryAt: new Date(Date.parse(last.startedAt) + last.durationMs).toISOString().replace("000Z", "Z"),
  });
});

test("before its time nothing is sent again", async () => {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  await service.advanceQueue(0.8 * HOUR_MS);
  // Events after it pass through the same queue, so the worker has looked.
  const other = await webhook.sendEvent('{"type":"other"}');
  await webhook.settled(other, "pending", 2);
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "pending", attemptCount: 2 });
});

test("when the schedule is exhausted it is failed, says so, and is never tried again", async () => {
  destination.behave(answer(503, {}, "down"));
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 2);
  await service.advanceQueue(2 * HOUR_MS);
  await webhook.settled(eventId, "pending", 3);
  await service.advanceQueue(4 * HOUR_MS);
  const failed = await webhook.settled(eventId, "failed");
  expect(outline(failed)).toEqual([1, 2, 3, 4].map((number) => `${number} scheduled http_status`));
  expect(failed).toMatchObject({ retryCount: 3, nextAttemptAt: null, response: { statusCode: 503, body: "down" } });
  expect(failed.completedAt).not.toBeNull();
  expect(await queueRows(failed.id)).toEqual([]);
  await service.advanceQueue(1_000 * HOUR_MS);
  expect(destination.arrivals).toHaveLength(4);
});

test("deliveryCount counts each delivery once, however often it is tried", async () => {
  destination.behave((arrival, response, count) => answer(count % 2 === 1 ? 500 : 204)(arrival, response, count));
  for (const n of [1, 2, 3]) {
    const eventId = await webhook.sendEvent(`{"type":"t","n":${n}}`);
    expect(await webhook.settled(eventId, "succeeded")).toMatchObject({ retryCount: 1 });
    expect(await webhook.read()).toMatchObject({ deliveryCount: n });
  }
});

interface WaitCase {
  readonly name: string;
  readonly status: number;
  readonly retryAfter: () => string;
  readonly fromMs: number;
  readonly toMs: number;
}

// Slack: a date has whole seconds, and the attempt takes its time.
const SLACK_MS = 60_000;
const WAITS: readonly WaitCase[] = [
  { name: "429 with seconds", status: 429, retryAfter: () => "7200", fromMs: 2 * HOUR_MS, toMs: 2.2 * HOUR_MS },
  {
    name: "503 with a date",
    status: 503,
    retryAfter: () => new Date(Date.now() + 3 * HOUR_MS).toUTCString(),
    fromMs: 3 * HOUR_MS - 2_000,
    toMs: 3.3 * HOUR_MS,
  },
  {
    name: "429 that asks for more than a day",
    status: 429,
    retryAfter: () => "999999999",
    fromMs: 24 * HOUR_MS,
    toMs: 24 * HOUR_MS,
  },
];

test.each(WAITS)("Retry-After is honoured: $name", async ({ status, retryAfter, fromMs, toMs }) => {
  destination.behave(answer(status, { "retry-after": retryAfter() }));
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 1);
  const waitMs = msBetween(waiting.attempts[0].startedAt, waiting.nextAttemptAt);
  expect(waitMs).toBeGreaterThanOrEqual(fromMs);
  expect(waitMs).toBeLessThan(toMs + SLACK_MS);
  expect(waiting.response.headers["retry-after"]).toBeDefined();
  destination.behave(answer(200));
  await service.advanceQueue(25 * HOUR_MS);
  expect(outline(await webhook.settled(eventId, "succeeded"))).toEqual([
    "1 scheduled http_status",
    "2 scheduled succeeded",
  ]);
});

test("Retry-After counts on 429 and 503 only", async () => {
  destination.behave((arrival, response, count) =>
    answer(count === 1 ? 500 : 200, { "retry-after": "7200" })(arrival, response, count),
  );
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "succeeded", 2);
});
