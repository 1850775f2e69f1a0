/** The `delivery` object of a webhook: what it takes, refuses, shows, and does to attempts. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { createForwardingWebhook, msBetween } from "../delivery/forwarding.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, refusal } from "./refusal.ts";

let service: TestService;
let destination: Destination;
let webhookId: string;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  webhookId = (await service.api.post("/webhooks", { name: "w" })).body.id;
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const UNSET = {
  timeoutMs: null,
  maxConcurrency: null,
  rateLimit: null,
  schedule: [],
  maxAttempts: null,
  orderingKey: null,
};
const ALL = {
  timeoutMs: 1_500,
  maxConcurrency: 4,
  rateLimit: { count: 100, per: "minute", burst: 5 },
  schedule: ["0s", "1m", "2h"],
  maxAttempts: 8,
  orderingKey: { header: "x-customer", policy: "skip" },
};

const rate = (change: object) => ({ rateLimit: { count: 1, per: "second", ...change } });

test.each<[string, object, string]>([
  ["a short time-out", { timeoutMs: 99 }, "timeoutMs int32.gte_lte"],
  ["a long time-out", { timeoutMs: 120_001 }, "timeoutMs int32.gte_lte"],
  ["no concurrency", { maxConcurrency: 0 }, "maxConcurrency int32.gte_lte"],
  ["no attempts", { maxAttempts: 0 }, "maxAttempts int32.gte_lte"],
  ["51 attempts", { maxAttempts: 51 }, "maxAttempts int32.gte_lte"],
  ["a rate of nothing", rate({ count: 0 }), "rateLimit.count int32.gte_lte"],
  ["a rate per hour", rate({ per: "hour" }), "rateLimit.per string.in"],
  ["a burst of nothing", rate({ burst: 0 }), "rateLimit.burst int32.gte_lte"],
  ["a schedule that begins late", { schedule: ["1s"] }, "schedule schedule"],
  ["a schedule without units", { schedule: ["0s", "5"] }, "schedule schedule"],
  ["a schedule of 51 delays", { schedule: Array(51).fill("0s") }, "schedule repeated.max_items"],
  ["a key without a place", { orderingKey: { policy: "block" } }, "orderingKey required"],
  ["a key with another policy", { orderingKey: { header: "a", policy: "wait" } }, "orderingKey.policy string.in"],
  ["a header that is none", { orderingKey: { header: "a b" } }, "orderingKey.header header"],
  ["a path that is none", { orderingKey: { jsonPath: "a..b" } }, "orderingKey.jsonPath path"],
])("refuses %s", async (_what, delivery, field) => {
  const expected = badRequest(`delivery.${field}`);
  expect(refusal(await service.api.post("/webhooks", { name: "w", delivery }))).toEqual(expected);
  expect(refusal(await service.api.patch(`/webhooks/${webhookId}`, { delivery }))).toEqual(expected);
});

test("it is shown as it was given, on create and on update, and null takes it back", async () => {
  const created = await service.api.post("/webhooks", { name: "w", delivery: ALL });
  const shown = { ...ALL, orderingKey: { ...ALL.orderingKey } };
  expect(created.body.delivery).toEqual(shown);
  const patched = await service.api.patch(`/webhooks/${webhookId}`, { delivery: ALL });
  expect(patched.body.delivery).toEqual(shown);
  const patch = async (delivery: object | null) =>
    (await service.api.patch(`/webhooks/${webhookId}`, { delivery })).body.delivery;
  expect(await patch({ timeoutMs: null, rateLimit: { count: 3, per: "second" } })).toEqual({
    ...shown,
    timeoutMs: null,
    rateLimit: { count: 3, per: "second", burst: null },
  });
  expect(await patch({ orderingKey: { jsonPath: "data.id" } })).toMatchObject({
    orderingKey: { jsonPath: "data.id", policy: null },
  });
  expect(await patch((await service.api.get(`/webhooks/${webhookId}`)).body.delivery)).toMatchObject({
    orderingKey: { jsonPath: "data.id", policy: null },
  });
  expect(await patch(null)).toEqual(UNSET);
});

test("its own schedule, number of attempts and time-out count", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.patch({ delivery: { schedule: ["0s", "3h", "10ms"], maxAttempts: 2, timeoutMs: 200 } });
  destination.behave(() => {});
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 1);
  expect(waiting.response).toMatchObject({ errorCode: "timeout" });
  expect(waiting.response.durationMs).toBeLessThan(4_000);
  expect(msBetween(waiting.attempts[0].startedAt, waiting.nextAttemptAt)).toBeGreaterThan(2.6 * 3_600_000);
  destination.behave(answer(500));
  await service.advanceQueue(4 * 3_600_000);
  const failed = await webhook.settled(eventId, "failed", 2);
  expect(failed.response).toMatchObject({ statusCode: 500 });
});

test("more attempts than the schedule has go on with its last delay", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await webhook.patch({ delivery: { schedule: ["0s", "1ms"], maxAttempts: 6 } });
  destination.behave(answer(500));
  await webhook.settled(await webhook.sendEvent(), "failed", 6);
});
