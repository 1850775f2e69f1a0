/** Limits, order and circuits of a webhook, as its owner sees them, on two replicas. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook } from "./forwarding.ts";
import { createListener } from "./operational-scene.ts";

let service: TestService;
let replica: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService();
  replica = await startService({ replicaOf: service });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
});
afterEach(async () => {
  await destination.close();
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

test("a rate limit holds for both replicas, and all are delivered", async () => {
  await webhook.patch({ delivery: { rateLimit: { count: 20, per: "second", burst: 2 } } });
  const events = await Promise.all(Array.from({ length: 12 }, (_, n) => webhook.sendEvent(JSON.stringify({ n }))));
  for (const eventId of events) await webhook.settled(eventId, "succeeded", 1);
  const { rows } = await service.pool.query<{ ms: string }>(
    "select extract(epoch from started_at) * 1000 as ms from deliveries where webhook_id = $1 order by started_at",
    [webhook.id],
  );
  const [first, last] = [Number(rows[0]?.ms), Number(rows.at(-1)?.ms)];
  // Ten beyond the burst, one each 50 ms; an attempt's own time is taken a little after it was let begin.
  expect(last - first).toBeGreaterThan(10 * 50 - 100);
});

test("no more than its concurrency at once", async () => {
  await webhook.patch({ delivery: { maxConcurrency: 2 } });
  let [now, most] = [0, 0];
  destination.behave((_arrival, response) => {
    now += 1;
    most = Math.max(most, now);
    setTimeout(() => {
      now -= 1;
      response.writeHead(200).end();
    }, 20);
  });
  const events = await Promise.all(Array.from({ length: 12 }, (_, n) => webhook.sendEvent(JSON.stringify({ n }))));
  for (const eventId of events) await webhook.settled(eventId, "succeeded", 1);
  expect(most).toBe(2);
});

test("those of one key arrive in order, the next only after the one before was acknowledged", async () => {
  await webhook.patch({ delivery: { orderingKey: { jsonPath: "$.customer" }, schedule: ["0s", "10ms", "10ms"] } });
  const open = new Map<string, number>();
  let overlaps = 0;
  const seen = new Map<string, number[]>();
  destination.behave((arrival, response, count) => {
    const { customer, n } = JSON.parse(arrival.body.toString());
    if (open.get(customer)) overlaps += 1;
    open.set(customer, 1);
    setTimeout(() => {
      open.set(customer, 0);
      if (count % 5 === 0) return response.writeHead(500).end();
      seen.set(customer, [...(seen.get(customer) ?? []), n]);
      response.writeHead(200).end();
    }, 5);
  });
  const events: string[] = [];
  for (let n = 0; n < 16; n++) events.push(await webhook.sendEvent(JSON.stringify({ customer: n % 2 ? "a" : "b", n })));
  for (const eventId of events) await webhook.settled(eventId, "succeeded");
  expect(overlaps).toBe(0);
  expect(seen.get("a")).toEqual([1, 3, 5, 7, 9, 11, 13, 15]);
  expect(seen.get("b")).toEqual([0, 2, 4, 6, 8, 10, 12, 14]);
});

test("a circuit opens on failures, is shown and told, and a retry by hand that works closes it and lets the rest go", async () => {
  const listener = await createListener(service, { events: ["circuit.*"] });
  await webhook.patch({ delivery: { schedule: ["0s", "1h"] } });
  expect((await webhook.read()).forwarding.circuit).toEqual({ state: "closed", openedAt: null, nextProbeAt: null });
  destination.behave(answer(500));
  const failed = await Promise.all(Array.from({ length: 20 }, () => webhook.sendEvent()));
  const open = await eventually("open", async () => {
    const { circuit } = (await webhook.read()).forwarding;
    return circuit.state === "open" ? circuit : undefined;
  });
  expect(Date.parse(open.nextProbeAt)).toBeGreaterThan(Date.parse(open.openedAt));

  destination.behave(answer(200));
  for (const eventId of failed) await webhook.settled(eventId, "pending", 1);
  const before = destination.arrivals.length;
  const waiting = await webhook.sendEvent();
  const { id } = await webhook.deliveryOf(waiting);
  expect(await webhook.deliveryOf(waiting)).toMatchObject({ status: "pending", attemptCount: 0 });
  expect(destination.arrivals).toHaveLength(before);

  const other = await webhook.deliveryOf(failed[0] ?? "");
  expect((await service.api.post(`/webhooks/deliveries/${other.id}/retry`, {})).status).toBe(200);
  await webhook.settled(failed[0] ?? "", "succeeded", 2);
  await webhook.settled(waiting, "succeeded", 1);
  expect(id).not.toBe(other.id);
  await eventually("closed", async () => (await webhook.read()).forwarding.circuit.state === "closed");
  const about = { webhookId: webhook.id, webhookName: "forwards", count: 1, openedAt: open.openedAt };
  const [opened, closed] = await listener.told(2);
  expect(opened).toMatchObject({ type: "circuit.opened", data: { ...about, nextProbeAt: open.nextProbeAt } });
  expect(closed).toMatchObject({ type: "circuit.closed", data: { ...about, openings: 1 } });
  await service.api.delete(`/webhooks/${listener.id}`);
  await listener.close();
});

test("an open circuit is closed by resuming forwarding, which is told", async () => {
  const listener = await createListener(service, { events: ["circuit.closed"] });
  await webhook.patch({ delivery: { schedule: ["0s", "1h"] } });
  destination.behave(answer(503));
  await Promise.all(Array.from({ length: 20 }, () => webhook.sendEvent()));
  await eventually("open", async () => (await webhook.read()).forwarding.circuit.state === "open");
  destination.behave(answer(200));
  const waiting = await webhook.sendEvent();
  await webhook.patch({ forwarding: { state: "active" } });
  service.app.worker.wake();
  await webhook.settled(waiting, "succeeded", 1);
  expect(await listener.told(1)).toMatchObject([{ type: "circuit.closed", data: { webhookId: webhook.id } }]);
  await service.api.delete(`/webhooks/${listener.id}`);
  await listener.close();
});

test("with CIRCUIT_OPEN_MS 0 none opens, however much fails", async () => {
  const tireless = await startService({ env: { CIRCUIT_OPEN_MS: "0", DELIVERY_SCHEDULE: "0s,1h" } });
  onTestFinished(async () => await tireless.stop());
  const failing = await createForwardingWebhook(tireless, destination.url);
  destination.behave(answer(500));
  const events = await Promise.all(Array.from({ length: 25 }, () => failing.sendEvent()));
  for (const eventId of events) await failing.settled(eventId, "pending", 1);
  expect((await failing.read()).forwarding.circuit.state).toBe("closed");
});
