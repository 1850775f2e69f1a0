/** Two replicas of the service on one database share a backlog without delivering anything twice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook } from "./forwarding.ts";

const BACKLOG = 300;
/** Attempts of one replica at one destination: half of what it may have under way. */
const CONCURRENCY = 8;
const env = { DELIVERY_CONCURRENCY: String(2 * CONCURRENCY) };
let first: TestService;
let second: TestService;
let destination: Destination;

beforeAll(async () => {
  [first, destination] = await Promise.all([startService({ env }), startDestination()]);
  // The second replica's clock is a day ahead, so that a request tells who sent it.
  const clock = new ManualClock();
  clock.advance(86_400_000);
  second = await startService({ env, replicaOf: first, clock });
});
afterAll(async () => {
  await second?.stop();
  await Promise.all([first?.stop(), destination?.close()]);
});

test("a backlog is delivered exactly once by two replicas together", async () => {
  const webhook = await createForwardingWebhook(first, destination.url);
  await webhook.patch({ status: "paused" });
  const eventIds = await Promise.all(
    Array.from({ length: BACKLOG }, (_, n) => webhook.sendEvent(JSON.stringify({ n }))),
  );
  expect(new Set(eventIds).size).toBe(BACKLOG);

  // Answers are held until more requests are open than one replica may have.
  const held: (() => void)[] = [];
  destination.behave((_arrival, response) => {
    const finish = () => response.writeHead(200).end();
    if (destination.arrivals.length > 2 * CONCURRENCY) finish();
    else held.push(finish);
  });
  await webhook.patch({ status: "active" });
  second.app.worker.wake();
  await destination.arrived(2 * CONCURRENCY);
  expect(destination.arrivals).toHaveLength(2 * CONCURRENCY);
  for (const finish of held) finish();

  await eventually("the queue is empty", async () => {
    const { rows } = await first.pool.query<{ owed: number }>("select count(*)::int as owed from delivery_queue");
    return rows[0]?.owed === 0;
  });
  expect(destination.arrivals.map((arrival) => arrival.headers["webhook-id"]).sort()).toEqual([...eventIds].sort());
  const nowSeconds = Date.now() / 1_000;
  const bySecond = destination.arrivals.filter(
    (arrival) => Number(arrival.headers["webhook-timestamp"]) > nowSeconds + 3_600,
  );
  expect(bySecond.length).toBeGreaterThanOrEqual(CONCURRENCY);
  expect(bySecond.length).toBeLessThanOrEqual(BACKLOG - CONCURRENCY);

  const { rows: attempts } = await first.pool.query(
    "select number, trigger, status, count(*)::int as count from attempts group by 1, 2, 3",
  );
  expect(attempts).toEqual([{ number: 1, trigger: "resume", status: "succeeded", count: BACKLOG }]);
  const { rows: deliveries } = await first.pool.query(
    "select status, attempt_count, count(*)::int as count from deliveries group by 1, 2",
  );
  expect(deliveries).toEqual([{ status: "succeeded", attempt_count: 1, count: BACKLOG }]);
  expect(await webhook.read()).toMatchObject({ deliveryCount: BACKLOG });
});

test("what one replica receives is counted once by both", async () => {
  destination.behave((_arrival, response) => response.writeHead(200).end());
  const webhook = await createForwardingWebhook(first, destination.url);
  const receiveUrls = [webhook.receiveUrl, webhook.receiveUrl.replace(first.url, second.url)];
  expect(receiveUrls[1]).not.toBe(receiveUrls[0]);
  const onSecond = await createForwardingWebhook(second, destination.url);
  const eventIds = await Promise.all(
    Array.from({ length: 40 }, (_, n) => (n % 2 ? webhook : onSecond).sendEvent(JSON.stringify({ n }))),
  );
  await eventually("all are delivered", async () => {
    const counts = await Promise.all([webhook.read(), onSecond.read()]);
    return counts.every((view) => view.deliveryCount === 20);
  });
  const seen = destination.arrivals.map((arrival) => arrival.headers["webhook-id"]);
  for (const eventId of eventIds) expect(seen.filter((id) => id === eventId)).toHaveLength(1);
});
