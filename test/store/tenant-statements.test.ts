/** The hand-written SQL that takes an organization id, statement by statement, on real rows of two organizations. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { LIMITS } from "../../src/config.ts";
import { ApiKeys } from "../../src/core/api-keys.ts";
import { newId } from "../../src/core/ids.ts";
import { createOrm, type Orm } from "../../src/store/orm.ts";
import { findEventContent } from "../../src/store/sql/lookup.ts";
import { deleteWebhook, purgeStep } from "../../src/store/sql/purge.ts";
import { replayEvent, retryDelivery } from "../../src/store/sql/redeliver.ts";
import { transaction } from "../../src/store/transaction.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const LEASE_MS = 1_000;

let database: TestDatabase;
let pool: Pool;
let orm: Orm;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  orm = await createOrm({
    target: database.url,
    hotConnectionsMax: 1,
    ormConnectionsMax: 1,
    lookupConnectionsMax: 1,
    statementTimeoutMs: LIMITS.statementTimeoutMs,
    connectTimeoutMs: LIMITS.connectTimeoutMs,
  });
});
afterAll(async () => {
  await orm?.close(true);
  await pool?.end();
  await database?.drop();
});

interface Tenant {
  readonly organizationId: string;
  readonly webhookId: string;
  readonly eventId: string;
  /** Finished: not in the queue. */
  readonly deliveryId: string;
  /** In the queue, waiting. */
  readonly waitingId: string;
  readonly keyId: string;
}

let mine: Tenant;
let theirs: Tenant;

beforeEach(async () => {
  mine = await insertTenant();
  theirs = await insertTenant();
});

async function insertTenant(): Promise<Tenant> {
  const tenant = {
    organizationId: randomUUID(),
    webhookId: newId(),
    eventId: newId(),
    deliveryId: newId(),
    waitingId: newId(),
    keyId: newId(),
  };
  const { organizationId, webhookId, eventId, deliveryId, waitingId, keyId } = tenant;
  await pool.query("insert into organizations (id, name) values ($1, 'o')", [organizationId]);
  await pool.query(
    `insert into webhooks (id, organization_id, name, url, source, events, status, created_at, updated_at)
     values ($1, $2, 'w', 'https://consumer.example.com/', 'custom', '{}', 'active', now(), now())`,
    [webhookId, organizationId],
  );
  await pool.query(
    `insert into events (id, organization_id, webhook_id, type, source_event_id_reused, status, verified, scheme,
       synthetic, size, received_at, headers, body)
     values ($1, $2, $3, 't', false, 'received', true, 's', false, 4, now(), '[["a", "b"]]', 'body')`,
    [eventId, organizationId, webhookId],
  );
  for (const [id, status] of [
    [deliveryId, "succeeded"],
    [waitingId, "pending"],
  ]) {
    await pool.query(
      `insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, attempt_count,
         created_at, updated_at, completed_at) values ($1, $2, $3, $3, $4, 'u', $5, 1, now(), now(), now())`,
      [id, organizationId, webhookId, eventId, status],
    );
  }
  await pool.query(
    `insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, attempts)
     values ($1, $2, $3, $3, $4, now() + interval '1 hour', 1)`,
    [waitingId, organizationId, webhookId, eventId],
  );
  await pool.query(
    "insert into api_keys (id, organization_id, name, prefix, hash, created_at) values ($1, $2, 'k', 'p', $3, now())",
    [keyId, organizationId, Buffer.from(keyId)],
  );
  return tenant;
}

const TABLES = ["webhooks", "events", "deliveries", "delivery_queue", "api_keys", "purges"];

/** Every row of these organizations, by table. */
async function rowsOf(...tenants: readonly Tenant[]): Promise<unknown> {
  const found: Record<string, unknown> = {};
  const ids = tenants.map((tenant) => tenant.organizationId);
  for (const table of TABLES) {
    const text = `select to_jsonb(t) as row from ${table} t where organization_id = any ($1) order by 1`;
    found[table] = (await pool.query(text, [ids])).rows;
  }
  return found;
}

/** Runs `attack` and expects it to leave no trace in either organization. */
async function expectNoTrace(attack: () => Promise<void>): Promise<void> {
  const before = await rowsOf(mine, theirs);
  await attack();
  expect(await rowsOf(mine, theirs)).toEqual(before);
}

/** Runs `work`, which must change my rows and none of theirs. */
async function expectOnlyMine(work: () => Promise<void>): Promise<void> {
  const [before, others] = [await rowsOf(mine), await rowsOf(theirs)];
  await work();
  expect(await rowsOf(mine)).not.toEqual(before);
  expect(await rowsOf(theirs)).toEqual(others);
}

describe("retryDelivery", () => {
  test.each(["deliveryId", "waitingId"] as const)("of another organization's %s: not found", async (which) => {
    await expectNoTrace(async () => {
      expect(await retryDelivery(pool, mine.organizationId, theirs[which], LEASE_MS)).toBe("not_found");
    });
  });

  test.each(["deliveryId", "waitingId"] as const)("of one's own %s", async (which) => {
    await expectOnlyMine(async () => {
      expect(await retryDelivery(pool, mine.organizationId, mine[which], LEASE_MS)).toBeNull();
    });
    const { rows } = await pool.query("select manual from delivery_queue where delivery_id = $1", [mine[which]]);
    expect(rows).toEqual([{ manual: true }]);
  });

  test.each<[string, () => readonly [deliveryId: string, webhookId: string]]>([
    ["one's own delivery that names another's webhook", () => [mine.deliveryId, theirs.webhookId]],
    ["another's delivery that names one's own webhook", () => [theirs.deliveryId, mine.webhookId]],
  ])("of %s: not found", async (_what, pair) => {
    const [deliveryId, webhookId] = pair();
    await pool.query("update deliveries set webhook_id = $2 where id = $1", [deliveryId, webhookId]);
    await expectNoTrace(async () => {
      expect(await retryDelivery(pool, mine.organizationId, deliveryId, LEASE_MS)).toBe("not_found");
    });
  });
});

describe("replayEvent", () => {
  test.each<[string, () => { id: string; webhookId: string }]>([
    ["another's event and webhook", () => ({ id: theirs.eventId, webhookId: theirs.webhookId })],
    ["one's own event and another's webhook", () => ({ id: mine.eventId, webhookId: theirs.webhookId })],
    ["another's event and one's own webhook", () => ({ id: theirs.eventId, webhookId: mine.webhookId })],
  ])("of %s makes nothing", async (_what, event) => {
    await expectNoTrace(async () => {
      await replayEvent(pool, mine.organizationId, event(), newId());
    });
  });

  test("of one's own makes a delivery and a queue row", async () => {
    const deliveryId = newId();
    await expectOnlyMine(async () => {
      const event = { id: mine.eventId, webhookId: mine.webhookId };
      expect(await replayEvent(pool, mine.organizationId, event, deliveryId)).toBeNull();
    });
    for (const text of [
      "select organization_id from deliveries where id = $1",
      "select organization_id from delivery_queue where delivery_id = $1",
    ]) {
      expect((await pool.query(text, [deliveryId])).rows).toEqual([{ organization_id: mine.organizationId }]);
    }
  });
});

describe("deleteWebhook", () => {
  const remove = (id: string) => transaction(pool, (client) => deleteWebhook(client, mine.organizationId, id));

  test("of another organization's: false", async () => {
    await expectNoTrace(async () => {
      expect(await remove(theirs.webhookId)).toBe(false);
    });
  });

  test("of one's own, and the purge after it, touches nothing of the other's", async () => {
    await expectOnlyMine(async () => {
      expect(await remove(mine.webhookId)).toBe(true);
      while (await purgeStep(pool, { rows: 1, lateMs: 60_000, recheckMs: 60_000 }));
    });
    const { webhooks, events, deliveries, delivery_queue, purges } = (await rowsOf(mine)) as Record<string, unknown[]>;
    expect([webhooks, events, deliveries, delivery_queue].flat()).toEqual([]);
    expect(purges).toHaveLength(1);
  });
});

describe("findEventContent", () => {
  test("finds one's own and not another's", async () => {
    expect(await findEventContent(pool, mine.organizationId, theirs.eventId)).toBeUndefined();
    expect(await findEventContent(pool, mine.organizationId, mine.eventId)).toEqual({
      id: mine.eventId,
      type: "t",
      verified: true,
      headers: [["a", "b"]],
      body: Buffer.from("body"),
    });
  });
});

describe("ApiKeys.revoke", () => {
  const revoke = async (id: string) => {
    const apiKeys = new ApiKeys({ orm, pool, lookups: pool, clock: systemClock, production: false, limits: LIMITS });
    await apiKeys.revoke({ organizationId: mine.organizationId }, id);
  };

  test("of another organization's key: not found", async () => {
    await expectNoTrace(async () => {
      await expect(revoke(theirs.keyId)).rejects.toMatchObject({ reason: "NOT_FOUND" });
    });
  });

  test("another organization's keys do not count as another key of one's own", async () => {
    await expectNoTrace(async () => {
      await expect(revoke(mine.keyId)).rejects.toMatchObject({ reason: "CONFLICT" });
    });
  });

  test("of one's own", async () => {
    const id = newId();
    await pool.query(
      "insert into api_keys (id, organization_id, name, prefix, hash, created_at) values ($1, $2, 'l', 'p', $3, now())",
      [id, mine.organizationId, Buffer.from(id)],
    );
    await expectOnlyMine(async () => await revoke(id));
  });
});

test("a foreign id leaves no trace of what it names in the refusal", async () => {
  const apiKeys = new ApiKeys({ orm, pool, lookups: pool, clock: systemClock, production: false, limits: LIMITS });
  const caller = { organizationId: mine.organizationId };
  const messages = [theirs.keyId, newId()].map(async (id) => await apiKeys.revoke(caller, id).catch(String));
  const [foreign, unknown] = await Promise.all(messages);
  expect(foreign).toBe(unknown);
});
