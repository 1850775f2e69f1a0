/** A lease that is lost: whoever lost it cannot complete, whoever takes over writes the lost attempt down. */
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, outline } from "./forwarding.ts";

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

/** From now on requests get no answer until the test gives it; resolves to the answers still owed, in order. */
function holdAnswers(): ServerResponse[] {
  const held: ServerResponse[] = [];
  destination.behave((_arrival, response) => held.push(response));
  return held;
}

/** Another worker takes the delivery, until `leaseMs` from now. */
async function takeAway(eventId: string, leaseMs: number): Promise<void> {
  const { rowCount } = await service.pool.query(
    `update delivery_queue set lease_token = gen_random_uuid(), due_at = now() + $2 * interval '1 millisecond'
     where event_id = $1 and lease_token is not null`,
    [eventId, leaseMs],
  );
  expect(rowCount).toBe(1);
}

test("a worker that lost its lease cannot complete; the takeover records it as interrupted and goes on", async () => {
  const held = holdAnswers();
  const eventId = await webhook.sendEvent('{"n":1}');
  await destination.arrived(1);
  await takeAway(eventId, 60_000);
  destination.behave(answer(200, {}, "second"));
  held[0]?.writeHead(200).end("first");
  // What comes after it passes through the same completions.
  await webhook.settled(await webhook.sendEvent('{"n":2}'), "succeeded");
  const lost = await webhook.deliveryOf(eventId);
  expect(lost).toMatchObject({ status: "delivering", attemptCount: 0, attempts: [], response: null });
  expect(await webhook.read()).toMatchObject({ deliveryCount: 1 });

  await service.pool.query("update delivery_queue set due_at = now() where event_id = $1", [eventId]);
  service.app.worker.wake();
  const done = await webhook.settled(eventId, "succeeded");
  expect(outline(done)).toEqual(["1 scheduled interrupted", "2 scheduled succeeded"]);
  expect(done.attempts[0]).toMatchObject({ status: "interrupted", statusCode: null, errorCode: "interrupted" });
  expect(done).toMatchObject({ retryCount: 1, response: { statusCode: 200, body: "second" } });
  expect(destination.arrivals.map((arrival) => arrival.headers["alumia-attempt"])).toEqual(["1", "1", "2"]);
  expect(await webhook.read()).toMatchObject({ deliveryCount: 2 });
});

test("a worker whose lease is taken gives the attempt up at its next heartbeat", async () => {
  const eager = await startService({ env: { DELIVERY_LEASE_MS: "1000" } });
  const leased = await createForwardingWebhook(eager, destination.url);
  const dropped = Promise.withResolvers<void>();
  destination.behave((_arrival, response) => response.on("close", () => dropped.resolve()));
  const eventId = await leased.sendEvent();
  await destination.arrived(1);
  await eager.pool.query(
    "update delivery_queue set lease_token = gen_random_uuid(), due_at = now() + interval '1 hour' where event_id = $1",
    [eventId],
  );
  await dropped.promise;
  expect(await leased.deliveryOf(eventId)).toMatchObject({ status: "delivering", attempts: [] });
  await eager.stop();
});

test("a lease is kept for as long as the attempt is under way", async () => {
  const eager = await startService({ env: { DELIVERY_LEASE_MS: "1000" } });
  const leased = await createForwardingWebhook(eager, destination.url);
  const held = holdAnswers();
  const eventId = await leased.sendEvent();
  await destination.arrived(1);
  const dueAt = async () =>
    (await eager.pool.query<{ due_at: Date }>("select due_at from delivery_queue where event_id = $1", [eventId]))
      .rows[0]?.due_at;
  const first = await dueAt();
  if (!first) throw new Error("not in the queue");
  await eventually("the lease outlives its first length twice over", async () => {
    const now = await dueAt();
    return now !== undefined && now.getTime() > first.getTime() + 2_000;
  });
  expect(destination.arrivals).toHaveLength(1);
  held[0]?.writeHead(200).end();
  expect(outline(await leased.settled(eventId, "succeeded"))).toEqual(["1 scheduled succeeded"]);
  await eager.stop();
});

test("a worker that takes over from itself holds and finishes the second attempt like any other", async () => {
  const own = await startService();
  const leased = await createForwardingWebhook(own, destination.url);
  const held = holdAnswers();
  const eventId = await leased.sendEvent();
  await destination.arrived(1);
  // As after a stall longer than the lease: it has ended, and the same process claims it.
  await own.pool.query("update delivery_queue set due_at = now() where event_id = $1", [eventId]);
  own.app.worker.wake();
  await destination.arrived(2);
  held[0]?.writeHead(200).end("first");
  destination.behave(answer(200));
  await leased.settled(await leased.sendEvent('{"n":2}'), "succeeded");
  expect(await leased.deliveryOf(eventId)).toMatchObject({ status: "delivering" });
  // A stop waits for what is under way, so it must know of the second attempt.
  let isStopped = false;
  const stopped = own.app.worker.stop(10_000).then(() => {
    isStopped = true;
  });
  await leased.deliveryOf(eventId);
  await leased.deliveryOf(eventId);
  expect(isStopped).toBe(false);
  held[1]?.writeHead(200).end("second");
  await stopped;
  const done = await leased.deliveryOf(eventId);
  expect(done).toMatchObject({ status: "succeeded", response: { body: "second" } });
  expect(outline(done)).toEqual(["1 scheduled interrupted", "2 scheduled succeeded"]);
  await own.stop();
});
