/** Faults of our own never end a delivery that could still succeed, and never make one circle for ever. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, outline } from "./forwarding.ts";

let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test("an attempt cut short by the end of a stop's grace is tried again and costs no step of the schedule", async () => {
  const env = { DELIVERY_SCHEDULE: "0s", SHUTDOWN_GRACE_MS: "50", DELIVERY_TIMEOUT_MS: "60000" };
  const first = await startService({ env });
  destination.behave(() => {});
  const webhook = await createForwardingWebhook(first, destination.url);
  const eventId = await webhook.sendEvent();
  await destination.arrived(1);
  await first.app.worker.stop(50);
  const cut = await webhook.deliveryOf(eventId);
  expect(cut.status).toBe("pending");
  expect(outline(cut)).toEqual(["1 scheduled aborted"]);

  destination.behave(answer(200));
  const second = await startService({ env, replicaOf: first });
  const done = await webhook.settled(eventId, "succeeded", 2);
  expect(outline(done)).toEqual(["1 scheduled aborted", "2 scheduled succeeded"]);
  await second.stop();
  await first.stop();
});

test("an attempt that cannot be made is recorded and follows the schedule", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  await service.pool.query("delete from webhook_secrets where webhook_id = $1 and purpose = 'forward'", [webhook.id]);
  const before = destination.arrivals.length;
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 2);
  expect(outline(waiting)).toEqual(["1 scheduled internal", "2 scheduled internal"]);
  expect(waiting.nextAttemptAt).not.toBeNull();
  expect(destination.arrivals).toHaveLength(before);
});

test("a delivery whose event is kept no longer has failed, and its history says why", async () => {
  destination.behave(answer(500));
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent();
  const waiting = await webhook.settled(eventId, "pending", 2);
  await service.pool.query("delete from events where id = $1", [eventId]);
  await service.advanceQueue(86_400_000);
  const ended = await webhook.settled(eventId, "failed", 3);
  expect(ended.id).toBe(waiting.id);
  expect(ended.response).toMatchObject({
    errorCode: "expired",
    errorMessage: "the event is older than RETENTION_DAYS and no longer recorded; nothing was sent",
  });
});

test("an attempt whose outcome cannot be recorded is written down as interrupted, and its number is not used again", async () => {
  destination.behave(answer(200));
  const own = await startService({ env: { DELIVERY_LEASE_MS: "1000" } });
  try {
    const webhook = await createForwardingWebhook(own, destination.url);
    await own.pool.query("alter table deliveries add constraint refused check (status <> 'succeeded')");
    const before = destination.arrivals.length;
    const eventId = await webhook.sendEvent();
    const arrivals = await destination.arrived(before + 2);
    await own.pool.query("alter table deliveries drop constraint refused");
    const done = await webhook.settled(eventId, "succeeded", 2);
    expect(outline(done)).toEqual(["1 scheduled interrupted", "2 scheduled succeeded"]);
    expect(arrivals.slice(before).map(({ headers }) => headers["alumia-attempt"])).toEqual(["1", "2"]);
  } finally {
    await own.stop();
  }
});

test("many manual retries at once make one try, and while it is under way the next is told so", async () => {
  destination.behave(answer(200));
  const webhook = await createForwardingWebhook(service, destination.url);
  const eventId = await webhook.sendEvent();
  const { id } = await webhook.settled(eventId, "succeeded", 1);
  const hold: (() => void)[] = [];
  destination.behave((_arrival, response) => hold.push(() => response.writeHead(200).end()));
  const before = destination.arrivals.length;
  const retry = () => service.api.post(`/webhooks/deliveries/${id}/retry`);
  const answers = await Promise.all(Array.from({ length: 8 }, retry));
  // Those that come before the try begins are that try; later ones find it under way.
  expect(answers.map(({ status }) => status)).toContain(200);
  expect(answers.map(({ status }) => status).filter((status) => status !== 200 && status !== 409)).toEqual([]);
  await destination.arrived(before + 1);
  expect((await retry()).status).toBe(409);
  expect(destination.arrivals).toHaveLength(before + 1);
  for (const finish of hold) finish();
  destination.behave(answer(200));
  await webhook.settled(eventId, "succeeded");
});
