/** Serving lanes: whose turn it is, and what their bounds, circuits and order let begin. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openCircuit, settleProbe } from "../../src/store/sql/circuit.ts";
import { type ClaimedDelivery, claimDue, untilNextDue } from "../../src/store/sql/claim.ts";
import { ROUSE_LANE, untilNextLane } from "../../src/store/sql/lanes.ts";
import { retryDelivery } from "../../src/store/sql/redeliver.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { advance, finish, insertDue, insertLaned, insertLanedWebhook, pagesOf, serve } from "./lane-scene.ts";

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
beforeEach(async () => {
  await pool.query("truncate lanes, delivery_queue");
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

const times = <Value>(count: number, value: Value): Value[] => Array.from({ length: count }, () => value);
const idsOf = (claimed: readonly { readonly deliveryId: string }[]) => claimed.map(({ deliveryId }) => deliveryId);
const anyRoom = { except: [], exceptOrganizations: [] };
const lanesLeft = async () => (await pool.query("select destination_id from lanes")).rowCount;

test("first tries and later ones have half of the room each, a retry by hand goes before both", async () => {
  const webhook = await insertLanedWebhook(pool, null);
  const ids = await insertLaned(pool, webhook, [
    ...times(5, { step: 1 }),
    ...times(5, {}),
    { step: 3, retried: "manual" },
  ]);
  const taken = idsOf(await serve(pool, { laneRowsMax: 5 })).map((id) => ids.indexOf(id));
  expect(taken.sort((a, b) => a - b)).toEqual([0, 1, 5, 6, 10]);
});

test("retries in bulk take their turns with other later tries", async () => {
  const webhook = await insertLanedWebhook(pool, null);
  const bulk = times(5, { step: 3, retried: "bulk" } as const);
  const ids = await insertLaned(pool, webhook, [...bulk, ...times(5, {}), { step: 3, retried: "manual" }]);
  const taken = idsOf(await serve(pool, { laneRowsMax: 5 })).map((id) => ids.indexOf(id));
  expect(taken.sort((a, b) => a - b)).toEqual([0, 1, 5, 6, 10]);
});

test("organizations have their turns whatever they have waiting, and so have the lanes of one", async () => {
  const [many, one] = [randomUUID(), randomUUID()].sort();
  const crowd = await Promise.all(times(12, null).map(() => insertLanedWebhook(pool, null, many)));
  const single = await insertLanedWebhook(pool, null, one);
  for (const webhook of crowd) await insertLaned(pool, webhook, times(3, {}));
  const [alone] = await insertLaned(pool, single, [{}]);
  expect(idsOf(await serve(pool, { limit: 4 }))).toContain(alone);
  const served = new Set<string>();
  for (let turn = 0; turn < 4; turn++)
    for (const { webhookId } of await serve(pool, { limit: 4 })) served.add(webhookId);
  expect(served.size).toBeGreaterThanOrEqual(11);
});

test("room bounds what a destination and an organization give", async () => {
  const organizationId = randomUUID();
  const [a, b] = await Promise.all([0, 1].map(() => insertLanedWebhook(pool, null, organizationId)));
  if (!a || !b) throw new Error("no webhooks");
  for (const webhook of [a, b]) await insertLaned(pool, webhook, times(10, {}));
  const rooms = { destinationRooms: new Map([[a.id, 2]]), organizationRooms: new Map([[organizationId, 5]]) };
  const taken = await serve(pool, rooms);
  expect(taken).toHaveLength(5);
  expect(taken.filter(({ webhookId }) => webhookId === a.id).length).toBeLessThanOrEqual(2);
  expect(await serve(pool, { exceptOrganizations: [organizationId] })).toEqual([]);
  expect((await serve(pool, { except: [a.id] })).every(({ webhookId }) => webhookId === b.id)).toBe(true);
});

test("a rate: a burst at once, then as time goes on; the lane goes once all is paid for", async () => {
  const webhook = await insertLanedWebhook(pool, { rateLimit: { count: 1, per: "minute", burst: 3 } });
  await insertLaned(pool, webhook, times(6, {}));
  const first = await serve(pool);
  expect(first).toHaveLength(3);
  expect(await serve(pool)).toEqual([]);
  await advance(pool, 59_000);
  expect(await serve(pool)).toEqual([]);
  await advance(pool, 2_000);
  const second = await serve(pool);
  expect(second).toHaveLength(1);
  await advance(pool, 120_000);
  const third = await serve(pool);
  expect(third).toHaveLength(2);
  for (const delivery of [...first, ...second, ...third]) await finish(pool, delivery, { kind: "succeeded" });
  expect(await serve(pool)).toEqual([]);
  expect(await lanesLeft()).toBe(1);
  await advance(pool, 200_000);
  await serve(pool);
  expect(await lanesLeft()).toBe(0);
});

test("a rate that is raised counts at once, whatever was paid for by the old one", async () => {
  const webhook = await insertLanedWebhook(pool, { rateLimit: { count: 1, per: "minute", burst: 20 } });
  await insertLaned(pool, webhook, times(30, {}));
  expect(await serve(pool)).toHaveLength(20);
  const faster = { rateLimit: { count: 10, per: "second", burst: 2 } };
  await pool.query("update webhooks set delivery = $2 where id = $1", [webhook.id, faster]);
  await pool.query(ROUSE_LANE.replace("?", "$1"), [webhook.id]);
  expect(await serve(pool)).toEqual([]);
  await advance(pool, 101);
  expect(await serve(pool)).toHaveLength(1);
});

test("concurrency: no more at once, and the next as soon as one ends", async () => {
  const webhook = await insertLanedWebhook(pool, { maxConcurrency: 2 });
  await insertLaned(pool, webhook, times(4, {}));
  const [one, two] = await serve(pool);
  expect(await serve(pool)).toEqual([]);
  if (one) await finish(pool, one, { kind: "succeeded" });
  expect(await serve(pool)).toHaveLength(1);
  if (two) await finish(pool, two, { kind: "retry", delayMs: 3_600_000 });
  expect(await serve(pool)).toHaveLength(1);
});

test("concurrency: however many serve at once, one does not begin what another's commit has just let begin", async () => {
  const webhook = await insertLanedWebhook(pool, { maxConcurrency: 2 });
  await insertLaned(pool, webhook, times(120, {}));
  const running: ClaimedDelivery[] = [];
  for (let left = 120; left > 0; ) {
    running.push(...(await Promise.all(times(6, 0).map(() => serve(pool)))).flat());
    expect(running.length).toBeLessThanOrEqual(2);
    left -= running.length;
    for (const delivery of running.splice(0)) await finish(pool, delivery, { kind: "succeeded" });
  }
});

test("a lane that is served while one of its own ends, or while one comes, does not sleep over what waits", async () => {
  const webhook = await insertLanedWebhook(pool, { maxConcurrency: 1 });
  const running: ClaimedDelivery[] = [];
  for (let turn = 0; turn < 60; turn++) {
    const ending = running.splice(0).map((delivery) => finish(pool, delivery, { kind: "succeeded" }));
    const [, ...taken] = await Promise.all([insertLaned(pool, webhook, [{}]), serve(pool), serve(pool), ...ending]);
    for (const claimed of taken) if (claimed) running.push(...claimed);
    if (running.length === 0) running.push(...(await serve(pool)));
    expect(running).toHaveLength(1);
  }
});

test("a circuit lets nothing through until its time, then one, and all once that has worked", async () => {
  const webhook = await insertLanedWebhook(pool, null);
  const circuitTimes = { openMs: 30_000, openMsMax: 100_000 };
  await insertLaned(pool, webhook, times(5, {}));
  expect(await openCircuit(pool, webhook.id, circuitTimes.openMs)).toBe(true);
  expect(await openCircuit(pool, webhook.id, circuitTimes.openMs)).toBe(false);
  expect(await serve(pool)).toEqual([]);
  for (const longerMs of [30_000, 60_000, 100_000, 100_000]) {
    await advance(pool, longerMs - 5_000);
    expect(await serve(pool)).toEqual([]);
    await advance(pool, 5_001);
    const probes = await serve(pool);
    expect(probes.map(({ probe }) => probe)).toEqual([true]);
    expect(await serve(pool)).toEqual([]);
    for (const probe of probes) await finish(pool, probe, { kind: "retry", delayMs: 0 });
    await settleProbe(pool, webhook.id, false, circuitTimes);
  }
  await advance(pool, 100_001);
  const [probe] = await serve(pool);
  if (probe) await finish(pool, probe, { kind: "succeeded" });
  await settleProbe(pool, webhook.id, true, circuitTimes);
  expect(await serve(pool)).toHaveLength(0 + (await waitingIn(webhook.id)));
});

const waitingIn = async (id: string): Promise<number> =>
  (await pool.query("select from delivery_queue where destination_id = $1 and laned", [id])).rowCount ?? 0;

test("an open circuit over which nothing waits sleeps, and is woken by what comes", async () => {
  const webhook = await insertLanedWebhook(pool, null);
  await openCircuit(pool, webhook.id, 1_000);
  await advance(pool, 1_001);
  expect(await serve(pool)).toEqual([]);
  expect(await untilNextLane(pool, anyRoom)).toBeNull();
  await insertLaned(pool, webhook, [{}, {}]);
  expect((await serve(pool)).map(({ probe }) => probe)).toEqual([true]);
});

test("a retry by hand is the probe, before whatever else waits", async () => {
  const webhook = await insertLanedWebhook(pool, null);
  await insertLaned(pool, webhook, times(3, {}));
  const [later = ""] = await insertDue(pool, webhook, [{ step: 2 }]);
  await pool.query("update delivery_queue set due_at = now() + interval '1 hour' where delivery_id = $1", [later]);
  await openCircuit(pool, webhook.id, 30_000);
  expect(await retryDelivery(pool, webhook.organizationId, later, 60_000)).toBeNull();
  expect((await serve(pool)).map(({ deliveryId, probe, manual }) => [deliveryId, probe, manual])).toEqual([
    [later, true, true],
  ]);
});

test("one that is held keeps those of its key waiting, until it is released and done", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const [first, second] = await insertLaned(pool, webhook, [{ key: "a" }, { key: "a" }]);
  await pool.query("update delivery_queue set held = true, laned = false where delivery_id = $1", [first]);
  expect(await serve(pool)).toEqual([]);
  await pool.query("update delivery_queue set held = false, laned = true where delivery_id = $1", [first]);
  await advance(pool, 1);
  const taken = await serve(pool);
  expect(idsOf(taken)).toEqual([first]);
  for (const delivery of taken) await finish(pool, delivery, { kind: "succeeded" });
  expect(idsOf(await serve(pool))).toEqual([second]);
});

test("of one key the next begins only when the one before is done; others flow, and those without a key", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const keys = ["a", "a", "b", "a", null, "b"];
  const ids = await insertLaned(
    pool,
    webhook,
    keys.map((key) => ({ key })),
  );
  const places = (claimed: readonly { deliveryId: string }[]) =>
    idsOf(claimed)
      .map((id) => ids.indexOf(id))
      .sort((x, y) => x - y);
  const first = await serve(pool);
  expect(places(first)).toEqual([0, 2, 4]);
  const [a, b] = [
    first.find(({ deliveryId }) => deliveryId === ids[0]),
    first.find(({ deliveryId }) => deliveryId === ids[2]),
  ];
  if (!a || !b) throw new Error("not served");
  await finish(pool, a, { kind: "retry", delayMs: 3_600_000 });
  await finish(pool, b, { kind: "retry", delayMs: 3_600_000, unordered: true });
  const second = await serve(pool);
  expect(places(second)).toEqual([5]);
  await pool.query("delete from delivery_queue where delivery_id = $1", [ids[0]]);
  await advance(pool, 1);
  expect(places(await serve(pool))).toEqual([1]);
});

test("a retry by hand goes out of turn, and those of its key wait for it", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const ids = await insertLaned(pool, webhook, [{ key: "a" }, { key: "a", retried: "manual" }]);
  expect(idsOf(await serve(pool))).toEqual([ids[1]]);
  await advance(pool, 1);
  expect(await serve(pool)).toEqual([]);
});

test("what waits in lanes and for later tries is not looked through, however much it is", async () => {
  const limited = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const other = await insertLanedWebhook(pool, null);
  await pool.query(
    `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, laned, step,
       order_key, ordered_at)
     select gen_random_uuid(), $1, $2, $2, gen_random_uuid(), now() + interval '1 h' * (n % 2), n % 2 = 0, 1,
       decode(lpad(to_hex(n % 100), 4, '0'), 'hex'), now() from generate_series(1, 40000) n`,
    [limited.organizationId, limited.id],
  );
  await insertLaned(pool, limited, [{ key: "z" }]);
  await insertDue(pool, other, times(10, {}));
  await pool.query("analyze delivery_queue");
  const claim = { ...anyRoom, limit: 10, leaseMs: 60_000, stepsMax: 10, lostMax: 0 };
  expect(await pagesOf(pool, (fake) => claimDue(fake, claim))).toBeLessThan(500);
  expect(await pagesOf(pool, (fake) => untilNextDue(fake, { ...anyRoom, withinMs: 1_000 }))).toBeLessThan(50);
  expect(await pagesOf(pool, (fake) => serve(fake))).toBeLessThan(2_500);
});

test("retries in bulk keep the order of their key", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const ids = await insertLaned(pool, webhook, [
    { key: "a" },
    { key: "a", retried: "bulk" },
    { key: "b", retried: "bulk" },
  ]);
  const [first, ...others] = await serve(pool);
  expect(idsOf([first, ...others].filter((one) => one !== undefined)).sort()).toEqual([ids[0], ids[2]].sort());
  const head = [first, ...others].find((one) => one?.deliveryId === ids[0]);
  if (!head) throw new Error("not served");
  await finish(pool, head, { kind: "succeeded" });
  await advance(pool, 1_001);
  expect(idsOf(await serve(pool))).toEqual([ids[1]]);
});

test("keys are served in turn, and again from the first", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const ids = await insertLaned(
    pool,
    webhook,
    Array.from({ length: 480 }, (_, n) => ({ key: `${n % 240}` })),
  );
  const room = { destinationRooms: new Map([[webhook.id, 30]]) };
  for (const round of [ids.slice(0, 240), ids.slice(240)]) {
    const served: string[] = [];
    while (served.length < 240) {
      const taken = await serve(pool, room);
      // The end of the keys may be met with nothing taken; then it begins anew.
      if (taken.length === 0) taken.push(...(await serve(pool, room)));
      expect(taken).not.toEqual([]);
      served.push(...idsOf(taken));
      for (const delivery of taken) await finish(pool, delivery, { kind: "succeeded" });
    }
    expect(served.sort()).toEqual([...round].sort());
  }
});

test("a key's backlog does not hide the keys behind it", async () => {
  const webhook = await insertLanedWebhook(pool, { orderingKey: { header: "k" } });
  const blocked = Array.from({ length: 250 }, (_, n) => `a${String(n).padStart(3, "0")}`);
  await insertLaned(
    pool,
    webhook,
    blocked.map((key) => ({ key })),
  );
  await pool.query("update delivery_queue set laned = false, due_at = now() + interval '1 hour'");
  await insertLaned(
    pool,
    webhook,
    blocked.map((key) => ({ key })),
  );
  const [last] = await insertLaned(pool, webhook, [{ key: "b" }]);
  const taken: string[] = [];
  for (let turn = 0; turn < 4; turn++) taken.push(...idsOf(await serve(pool)));
  expect(taken).toEqual([last]);
});
