/** kill -9 of the service under load: what it acknowledged is there, and the next start delivers it. */
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { expectCounted, expectNoNeedlessRepeats, expectStored, expectSucceeded, settled } from "./ledger.ts";
import { answersUnderLoad, killLeftovers, SCHEDULE, startLoad, startServiceProcess } from "./service-process.ts";

const SENDERS = 64;
let database: TestDatabase;
let destination: Destination;
let pool: Pool;

beforeAll(async () => {
  [database, destination] = await Promise.all([createTestDatabase(), startDestination()]);
  pool = new Pool({ connectionString: database.url, max: 2 });
});
afterAll(async () => {
  await killLeftovers();
  await pool?.end();
  await Promise.all([database?.drop(), destination?.close()]);
});

test("nothing acknowledged is lost, every delivery ends, history has no gaps", { timeout: 60_000 }, async () => {
  const env = {
    DATABASE_URL: database.url,
    MASTER_KEY: TEST_MASTER_KEY,
    DELIVERY_LEASE_MS: "1500",
    DELIVERY_SCHEDULE: SCHEDULE,
  };
  destination.behave(answersUnderLoad);
  const first = await startServiceProcess(env);
  const { body: webhook } = await first.api.post("/webhooks", { name: "load", url: destination.url });
  const load = startLoad(webhook.receiveUrl, webhook.secret, SENDERS);
  await load.reached(500);
  first.signal("SIGKILL");
  expect(await first.exited).toMatchObject({ code: null, signal: "SIGKILL" });
  const { rows } = await pool.query<{ leased: number }>(
    "select count(*)::int as leased from delivery_queue where lease_token is not null",
  );
  expect(rows[0]?.leased, "the kill came in the middle of deliveries").toBeGreaterThan(0);

  const before = load.acknowledged.size;
  const second = await startServiceProcess(env);
  load.aim(webhook.receiveUrl.replace(first.url, second.url));
  await load.reached(before + 300);
  await load.stop();
  await settled(pool, 30_000);

  await expectStored(pool, load.acknowledged);
  const deliveries = await expectSucceeded(pool);
  expect(deliveries.length).toBeGreaterThanOrEqual(load.acknowledged.size);
  expect(deliveries.some(({ outcomes }) => outcomes.includes("interrupted"))).toBe(true);
  expectNoNeedlessRepeats(deliveries, destination);
  await expectCounted(pool);
  second.signal("SIGTERM");
  expect(await second.exited).toMatchObject({ code: 0 });
});
