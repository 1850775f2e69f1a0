/** A change and what tells of it are one: neither is without the other, and each is told once, whoever dies when. */
import type { Pool } from "pg";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { killLeftovers, type ServiceProcess, startServiceProcess } from "../faults/service-process.ts";
import { hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { remember } from "../support/log.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { startService, TEST_MASTER_KEY } from "../support/service.ts";
import { createForwardingWebhook } from "./forwarding.ts";
import { createListener } from "./operational-scene.ts";

const SCHEDULE = "0s";
let database: TestDatabase;
let pool: Pool;
let destination: Destination;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  destination = await startDestination();
});
afterEach(async () => await killLeftovers());
afterAll(async () => {
  await destination?.close();
  await pool?.end();
  await database?.drop();
});

const countOf = async (from: Pool, table: string): Promise<number> =>
  (await from.query(`select count(*)::int as n from ${table}`)).rows[0].n;

test("where the notice cannot be written, the change is not made; once it can, both are", async () => {
  const { logger, lines } = remember("trace");
  const service = await startService({ env: { DELIVERY_SCHEDULE: SCHEDULE }, logger });
  const listener = await createListener(service);
  const webhook = await createForwardingWebhook(service, destination.url);
  await service.pool.query("alter table notices add constraint none check (false) not valid");

  const refused = await service.api.patch(`/webhooks/${webhook.id}`, { forwarding: { state: "stopped" } });
  expect(refused.status).toBeGreaterThanOrEqual(500);
  expect((await webhook.read()).forwarding).toMatchObject({ state: "active", stoppedAt: null });

  destination.behave(answer(500));
  const eventId = await webhook.sendEvent();
  await destination.arrived(1);
  await eventually("the outcome is refused", async () => lines.some((line) => line.includes("could not be recorded")));
  expect(await webhook.deliveryOf(eventId)).toMatchObject({ status: "delivering", attempts: [] });

  await service.pool.query("alter table notices drop constraint none");
  await webhook.settled(eventId, "failed", 1);
  const [told] = await listener.told(1);
  expect(told).toMatchObject({ type: "delivery.exhausted", data: { eventId } });
  await webhook.patch({ forwarding: { state: "stopped" } });
  await listener.told(2);
  expect(destination.arrivals).toHaveLength(1);
  await service.stop();
  await listener.close();
});

async function start(): Promise<ServiceProcess> {
  const env = { DATABASE_URL: database.url, MASTER_KEY: TEST_MASTER_KEY, DELIVERY_SCHEDULE: SCHEDULE };
  return await startServiceProcess(env);
}

/** Fails `count` deliveries for good. */
async function exhaust(service: ServiceProcess, count: number): Promise<void> {
  const { body: webhook } = await service.api.post("/webhooks", { name: "fails", url: destination.url });
  destination.behave(answer(500));
  for (let n = 0; n < count; n++) {
    expect((await send(webhook.receiveUrl, `${n}`, hubSignature(webhook.secret, `${n}`))).status).toBe(200);
  }
}

test("kill -9 in the middle of telling: the next process tells each once", { timeout: 60_000 }, async () => {
  const service = await start();
  const listener = await createListener(service);
  const holder = await pool.connect();
  await holder.query("begin");
  // Held up after the notices were taken, before anything is written in their place.
  await holder.query("lock table notice_floods in share mode");
  await exhaust(service, 5);
  await eventually("the process is in the middle of it", async () => {
    const { rows } = await pool.query(
      `select 1 from pg_stat_activity where datname = current_database() and application_name = 'alumia-upkeep'
         and wait_event_type = 'Lock'`,
    );
    return rows.length === 1;
  });
  await eventually("all have failed", async () => {
    const { rows } = await pool.query("select 1 from deliveries where status = 'failed'");
    return rows.length === 5;
  });
  service.signal("SIGKILL");
  await service.exited;
  await holder.query("rollback");
  holder.release();
  await eventually("its transaction has ended", async () => {
    const { rows } = await pool.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name = 'alumia-upkeep'",
    );
    return rows.length === 0;
  });
  expect(await countOf(pool, "notices")).toBe(5);
  expect(await countOf(pool, "events where scheme = 'system'")).toBe(0);

  const [next, other] = await Promise.all([start(), start()]);
  const told = await listener.told(5);
  expect(new Set(told.map(({ data }) => data.deliveryId)).size).toBe(5);
  expect(await countOf(pool, "notices")).toBe(0);
  expect(await countOf(pool, "events where scheme = 'system'")).toBe(5);
  for (const one of [next, other]) one.signal("SIGTERM");
  await Promise.all([next.exited, other.exited]);
  await listener.close();
});

test("two replicas tell each change once, and count a flood together", async () => {
  const service = await startService({ env: { DELIVERY_SCHEDULE: SCHEDULE } });
  const replica = await startService({ env: { DELIVERY_SCHEDULE: SCHEDULE }, replicaOf: service });
  const listener = await createListener(service);
  // It answers, so its circuit stays closed.
  destination.behave(answer(404));
  const webhooks = await Promise.all([1, 2, 3].map(() => createForwardingWebhook(service, destination.url)));
  const noisy = webhooks[0];
  const sent = Array.from({ length: 20 }, () => noisy?.sendEvent());
  await Promise.all([...sent, ...webhooks.slice(1).flatMap((one) => [1, 2, 3].map(() => one.sendEvent()))]);
  await eventually("all 26 are accounted for", async () => {
    const { rows } = await service.pool.query(
      "select sum(told)::int as told, sum(further)::int as further from notice_floods",
    );
    return rows[0].told === 16 && rows[0].further === 10;
  });
  const told = await listener.told(16);
  expect(new Set(told.map(({ data }) => data.deliveryId)).size).toBe(16);
  expect(await listener.events()).toHaveLength(16);
  await replica.stop();
  await service.stop();
  await listener.close();
});
