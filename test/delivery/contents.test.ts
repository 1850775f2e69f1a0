/** What claimed deliveries need is at hand in the order of the claims, however long each read takes. */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ReceivingWebhook } from "../../src/core/receiving-webhook.ts";
import { ContentReader } from "../../src/delivery/contents.ts";
import type { ClaimedDelivery } from "../../src/store/sql/claim.ts";
import { insertEvent, insertWebhook } from "../store/history.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

test("a later claim waits for an earlier one, and none for one whose read fails", async () => {
  const webhook = await insertWebhook(pool);
  const eventId = await insertEvent(pool, webhook, Date.now());
  const held = Promise.withResolvers<ReceivingWebhook>();
  const looks = [async () => await held.promise, async () => ({}) as ReceivingWebhook];
  const loadWebhook = async () => await looks.shift()?.();
  const reader = new ContentReader({ pool, loadWebhook, smallBytesMax: 1_000 });
  const claimed = [{ organizationId: webhook.organizationId, webhookId: webhook.id, eventId } as ClaimedDelivery];
  const order: string[] = [];
  const first = reader.read(claimed).then(({ handed }) => order.push(`first: ${handed.size}`));
  const second = reader.read(claimed).then(({ handed }) => order.push(`second: ${handed.size}`));
  // Long enough for the second, were it not to wait.
  await pool.query("select 1");
  expect(order).toEqual([]);
  held.reject(new Error("the store is down"));
  await Promise.all([first, second]);
  expect(order).toEqual(["first: 0", "second: 1"]);
});
