/** A worker that stops gives back what waits between two quick tries, at the time at which it is due. */
import { expect, test } from "vitest";
import { answer, startDestination } from "../support/destination.ts";
import { startService } from "../support/service.ts";
import { createForwardingWebhook, outline } from "./forwarding.ts";

test("a quick wait ends with the stop: no lease, no attempt, no later than it was due", async () => {
  const [service, destination] = await Promise.all([
    startService({ env: { DELIVERY_SCHEDULE: "0s,9s,1h" } }),
    startDestination(),
  ]);
  destination.behave(answer(500));
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 1);
  await service.app.worker.stop(600_000);
  const { rows } = await service.pool.query<{ due_at: Date }>(
    "select lease_token, started_at, attempts, step, held, due_at from delivery_queue where event_id = $1",
    [eventId],
  );
  expect(rows).toMatchObject([{ lease_token: null, started_at: null, attempts: 1, step: 1, held: false }]);
  expect(Math.abs(Number(rows[0]?.due_at) - Date.parse(waiting.nextAttemptAt))).toBeLessThan(1_000);
  expect(outline(await webhook.deliveryOf(eventId))).toEqual(["1 scheduled http_status"]);
  expect(destination.arrivals).toHaveLength(1);
  await Promise.all([service.stop(), destination.close()]);
});

test.each([
  ["a url that is removed", { url: null }, "canceled"],
  ["a pause", { status: "paused" }, "paused"],
])("%s reaches a delivery in a quick wait at once", async (_what, change, status) => {
  const [service, destination] = await Promise.all([
    startService({ env: { DELIVERY_SCHEDULE: "0s,9s,1h" } }),
    startDestination(),
  ]);
  destination.behave(answer(500));
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent();
  await webhook.settled(eventId, "pending", 1);
  await webhook.patch(change);
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status, nextAttemptAt: null });
  await service.app.worker.stop(600_000);
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status, attemptCount: 1 });
  expect(destination.arrivals).toHaveLength(1);
  await Promise.all([service.stop(), destination.close()]);
});
