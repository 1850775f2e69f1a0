/** Figures that the store is asked for: what they say, what they cost, and what a scrape does without them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCircuit } from "../../src/store/sql/circuit.ts";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { type Scrape, scrape } from "../support/exposition.ts";
import { startPostgresProxy } from "../support/postgres-proxy.ts";
import { startService, type TestService } from "../support/service.ts";

const METRICS = { METRICS_PORT: "0" };

let owner: TestService;
let destination: Destination;

beforeAll(async () => {
  [owner, destination] = await Promise.all([
    startService({ env: METRICS, limits: { metricsStoreIntervalMs: 0 } }),
    startDestination(),
  ]);
  destination.behave(answer(500));
});
afterAll(async () => {
  await Promise.all([owner?.stop(), destination?.close()]);
});

const look = (service: TestService) => scrape(service.app.metricsUrl);

const queue = (now: Scrape) =>
  ["due", "waiting", "laned", "held"].map((state) => now.value("alumia_queue_deliveries", { state }));

/** A webhook with so many deliveries that wait for their next try. */
async function withBacklog(service: TestService, count: number) {
  const webhook = await createForwardingWebhook(service, destination.url);
  for (let n = 0; n < count; n++) await webhook.settled(await webhook.sendEvent(), "pending", 2);
  return webhook;
}

test("what waits, what is due and since when, and what is held; of all replicas, by each", async () => {
  const service = await startService({ env: METRICS, limits: { metricsStoreIntervalMs: 0 } });
  const webhook = await withBacklog(service, 3);
  expect(queue(await look(service))).toEqual([0, 3, 0, 0]);

  // Nobody takes what falls due.
  await service.app.worker.stop(1_000);
  await service.pool.query(
    `update delivery_queue set due_at = now() - interval '90 seconds'
     where delivery_id = (select min(delivery_id::text)::uuid from delivery_queue)`,
  );
  const due = await look(service);
  expect(queue(due)).toEqual([1, 2, 0, 0]);
  expect(due.value("alumia_queue_oldest_due_seconds")).toBeGreaterThanOrEqual(90);
  expect(due.value("alumia_queue_oldest_due_seconds")).toBeLessThan(150);
  await openCircuit(service.pool, webhook.id, 60_000);
  await service.pool.query("update delivery_queue set laned = true where due_at <= now()");
  const laned = await look(service);
  expect(queue(laned)).toEqual([0, 2, 1, 0]);
  expect(laned.value("alumia_queue_oldest_due_seconds")).toBe(0);
  expect(["open", "half_open"].map((state) => laned.value("alumia_circuits", { state }))).toEqual([1, 0]);

  await webhook.patch({ status: "paused" });
  const replica = await startService({ replicaOf: service, env: METRICS });
  for (const each of [service, replica]) {
    const held = await look(each);
    expect(queue(held)).toEqual([0, 0, 0, 3]);
    expect(held.value("alumia_queue_oldest_due_seconds")).toBe(0);
  }
  // What a process has done itself, it alone reports.
  expect((await look(service)).value("alumia_receives_total", { outcome: "recorded" })).toBe(3);
  expect((await look(replica)).value("alumia_receives_total", { outcome: "recorded" })).toBe(0);
  await replica.stop();
  await service.stop();
});

test("where more wait than are counted, the bound is shown", async () => {
  const limits = { metricsStoreIntervalMs: 0, queueCountMax: 2 };
  const service = await startService({ env: METRICS, limits });
  const webhook = await withBacklog(service, 3);
  expect(queue(await look(service))).toEqual([0, 2, 0, 0]);
  await webhook.patch({ status: "paused" });
  expect(queue(await look(service))).toEqual([0, 0, 0, 2]);
  await service.stop();
});

test("however many scrape, the store is asked once in a while", async () => {
  const service = await startService({ env: METRICS, limits: { metricsStoreIntervalMs: 600_000 } });
  expect(queue(await look(service))).toEqual([0, 0, 0, 0]);
  await withBacklog(service, 1);
  for (let round = 0; round < 10; round++) {
    const scrapes = await Promise.all(Array.from({ length: 16 }, () => look(service)));
    expect(new Set(scrapes.map((one) => queue(one).join()))).toEqual(new Set(["0,0,0,0"]));
  }
  await service.stop();
});

test("without the store a scrape goes without the queue, and says what is wrong", { timeout: 30_000 }, async () => {
  const proxy = await startPostgresProxy(owner.databaseUrl);
  const limits = { metricsStoreIntervalMs: 0, metricsReadMsMax: 200 };
  const service = await startService({ replicaOf: { ...owner, databaseUrl: proxy.url }, env: METRICS, limits });
  const webhook = await createForwardingWebhook(service, null);
  await webhook.sendEvent();
  const works = await look(service);
  expect(works.has("alumia_queue_deliveries")).toBe(true);
  expect(works.value("alumia_batch_failures_total", { batch: "receive" })).toBe(0);

  proxy.cut();
  const body = '{"type":"order.paid"}';
  expect((await send(webhook.receiveUrl, body, hubSignature(webhook.secret, body))).status).toBe(503);
  const down = await eventually("the store is seen to be down", async () => {
    const now = await look(service);
    return now.value("alumia_ready", { part: "store" }) === 0 && now;
  });
  expect(down.has("alumia_queue_deliveries")).toBe(false);
  expect(down.has("alumia_queue_oldest_due_seconds")).toBe(false);
  expect(down.value("alumia_receives_total", { outcome: "recorded" })).toBe(1);
  expect(down.value("alumia_receives_total", { outcome: "service_unavailable" })).toBe(1);
  expect(down.value("alumia_batch_failures_total", { batch: "receive" })).toBeGreaterThan(0);

  proxy.restore();
  await eventually("the queue is seen again", async () => (await look(service)).has("alumia_queue_deliveries"));

  // Connected, but nothing comes back: the scrape does not wait for it.
  proxy.hold(["toClient"]);
  const silent = await look(service);
  expect(silent.has("alumia_queue_deliveries")).toBe(false);
  expect(silent.value("alumia_pool_connections_max", { pool: "hot" })).toBe(8);
  proxy.restore();
  await service.stop();
  await proxy.close();
});
