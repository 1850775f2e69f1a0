/** A destination that has failed for days gets nothing more until somebody resumes; nothing that it is owed is lost. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { stopFailing } from "../../src/store/sql/hold.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, msBetween } from "./forwarding.ts";
import { createListener, type Listener } from "./operational-scene.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const STOP_AFTER_MS = 5 * DAY_MS;
const clock = new ManualClock();
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;
let listener: Listener;

beforeAll(async () => {
  // A day between attempts, for as long as a test likes.
  service = await startService({ clock, env: { DELIVERY_SCHEDULE: `0s${",1d".repeat(20)}` } });
  listener = await createListener(service);
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => {
    await service.api.delete(`/webhooks/${webhook.id}`);
    await destination.close();
  };
});
afterAll(async () => {
  await service?.stop();
  await listener?.close();
});

/** A day passes (and a little: attempts take their time), and the next attempt of what is owed is made. */
async function nextDay(eventId: string, attempts: number): Promise<void> {
  clock.advance(DAY_MS + 60_000);
  await service.advanceQueue(2 * DAY_MS);
  await webhook.settled(eventId, "pending", attempts);
}

/** What the maintenance would stop now. */
const stopped = () => stopFailing(service.pool, STOP_AFTER_MS, 60_000);

async function failFor(days: number): Promise<string> {
  destination.behave(answer(500));
  const eventId = await webhook.sendEvent('{"n":0}');
  await webhook.settled(eventId, "pending", 1);
  for (let day = 1; day <= days; day++) await nextDay(eventId, day + 1);
  return eventId;
}

test("five days of failures stop it: what is owed is held, the reason told, and one call resumes", async () => {
  const eventId = await failFor(4);
  expect(await stopped()).toEqual([]);
  const failing = (await webhook.read()).forwarding;
  expect(failing).toMatchObject({ state: "active", reason: null });
  expect(msBetween(failing.failingSince, new Date(clock.now()).toISOString())).toBeGreaterThan(3.9 * DAY_MS);

  const other = await webhook.sendEvent('{"n":1}');
  await webhook.settled(other, "pending", 1);
  await nextDay(eventId, 6);
  service.app.maintenance.wake();
  const { forwarding, status } = await eventually("it is stopped", async () => {
    const read = await webhook.read();
    return read.forwarding.state === "stopped" && read;
  });
  expect({ status, ...forwarding }).toMatchObject({
    status: "active",
    state: "stopped",
    reason: "failing",
    failingSince: failing.failingSince,
  });
  await webhook.settled(eventId, "paused", 6);
  await webhook.settled(other, "paused");
  const later = await webhook.sendEvent('{"n":2}');
  await webhook.settled(later, "paused", 0);
  const came = destination.arrivals.length;
  const retried = await service.api.post(`/webhooks/deliveries/${(await webhook.deliveryOf(later)).id}/retry`);
  expect(retried.status).toBe(409);
  const [told] = await listener.told(1);
  expect(told).toMatchObject({
    type: "forwarding.stopped",
    data: {
      webhookId: webhook.id,
      url: destination.url,
      reason: "failing",
      failingSince: failing.failingSince,
      stoppedAt: forwarding.stoppedAt,
    },
  });

  // It fails on: a resume begins to count anew.
  const resumed = await webhook.patch({ forwarding: { state: "active" } });
  expect(resumed.forwarding).toMatchObject({ state: "active", reason: null, failingSince: null });
  await service.advanceQueue(2 * DAY_MS);
  await webhook.settled(later, "pending", 1);
  expect(await stopped()).toEqual([]);
  expect((await webhook.read()).forwarding.state).toBe("active");
  destination.behave(answer(200));
  await service.advanceQueue(2 * DAY_MS);
  for (const one of [eventId, other, later]) await webhook.settled(one, "succeeded");
  expect(destination.arrivals.length).toBeGreaterThan(came);
  expect((await webhook.read()).forwarding).toMatchObject({ state: "active", failingSince: null });
  expect((await listener.told(2))[1]).toMatchObject({ type: "forwarding.resumed", data: { reason: "failing" } });
});

test("one success among the failures begins anew", async () => {
  const eventId = await failFor(4);
  destination.behave(answer(200));
  await webhook.settled(await webhook.sendEvent('{"n":1}'), "succeeded");
  expect((await webhook.read()).forwarding.failingSince).toBeNull();
  destination.behave(answer(500));
  await nextDay(eventId, 6);
  await nextDay(eventId, 7);
  expect(await stopped()).toEqual([]);
  expect((await webhook.read()).forwarding.state).toBe("active");
});

test("time that passes without an attempt is no failure", async () => {
  destination.behave(answer(500));
  const first = await webhook.sendEvent('{"n":0}');
  await webhook.settled(first, "pending", 1);
  clock.advance(7 * DAY_MS);
  expect(await stopped()).toEqual([]);
  expect((await webhook.read()).forwarding.state).toBe("active");
  // After a silence longer than any schedule it begins anew.
  clock.advance(2 * DAY_MS);
  const second = await webhook.sendEvent('{"n":1}');
  await webhook.settled(second, "pending", 1);
  expect(await stopped()).toEqual([]);
  const { state, failingSince } = (await webhook.read()).forwarding;
  expect(state).toBe("active");
  expect(Math.abs(msBetween(failingSince, new Date(clock.now()).toISOString()))).toBeLessThan(HOUR_MS);
});

test("a paused webhook is not stopped; active again, or with another url, it begins anew", async () => {
  await failFor(1);
  await webhook.patch({ status: "paused" });
  await service.pool.query(
    "update webhook_counters set failing_since = failing_since - interval '9 days' where webhook_id = $1",
    [webhook.id],
  );
  expect(await stopped()).toEqual([]);
  expect((await webhook.read()).forwarding).toMatchObject({ state: "active", failingSince: expect.any(String) });
  await webhook.patch({ status: "active" });
  expect((await webhook.read()).forwarding).toMatchObject({ state: "active", failingSince: null });
  await service.advanceQueue(2 * DAY_MS);
  await eventually("it fails again", async () => (await webhook.read()).forwarding.failingSince !== null);
  await webhook.patch({ url: `${destination.url}/elsewhere` });
  expect((await webhook.read()).forwarding).toMatchObject({ state: "active", failingSince: null });
});

test("failures that are ours say nothing about the destination", async () => {
  const eventId = await webhook.sendEvent('{"n":0}', { "alumia-hops": "9" });
  await webhook.settled(eventId, "failed", 1);
  expect((await webhook.read()).forwarding.failingSince).toBeNull();
});
