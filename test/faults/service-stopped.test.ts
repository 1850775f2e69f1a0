/** SIGTERM under load: the service finishes what it has taken on, gives back the rest and ends well. */
import { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { expectCounted, expectNoNeedlessRepeats, expectStored, expectSucceeded, settled } from "./ledger.ts";
import { killLeftovers, startLoad, startServiceProcess } from "./service-process.ts";

const SENDERS = 64;
const GRACE_MS = 8_000;
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

test("exit 0 within the grace, nothing lost, no lease left, nothing interrupted", { timeout: 60_000 }, async () => {
  const env = { DATABASE_URL: database.url, MASTER_KEY: TEST_MASTER_KEY, SHUTDOWN_GRACE_MS: String(GRACE_MS) };
  destination.behave((_arrival, response) => setTimeout(() => response.writeHead(200).end("ok"), 100));
  const first = await startServiceProcess(env);
  const { body: webhook } = await first.api.post("/webhooks", { name: "load", url: destination.url });
  const load = startLoad(webhook.receiveUrl, webhook.secret, SENDERS);
  await load.reached(500);
  const askedMs = performance.now();
  first.signal("SIGTERM");
  const exit = await first.exited;
  expect(exit).toMatchObject({ code: 0, signal: null, stderr: "" });
  expect(performance.now() - askedMs).toBeLessThan(GRACE_MS);
  await load.stop();

  await expectStored(pool, load.acknowledged);
  const { rows: left } = await pool.query(
    `select d.status, q.attempts from delivery_queue q join deliveries d on d.id = q.delivery_id
     where q.lease_token is not null or q.started_at is not null or d.status not in ('pending', 'paused')`,
  );
  expect(left).toEqual([]);
  const { rows: under } = await pool.query("select id from deliveries where status = 'delivering'");
  expect(under).toEqual([]);

  const second = await startServiceProcess(env);
  await settled(pool, 30_000);
  const deliveries = await expectSucceeded(pool);
  expect(deliveries.filter(({ outcomes }) => outcomes.length !== 1)).toEqual([]);
  expectNoNeedlessRepeats(deliveries, destination);
  await expectCounted(pool);
  second.signal("SIGINT");
  expect(await second.exited).toMatchObject({ code: 0 });
});

test("a destination that hangs does not hold the stop beyond the grace", { timeout: 30_000 }, async () => {
  const env = { DATABASE_URL: database.url, MASTER_KEY: TEST_MASTER_KEY, SHUTDOWN_GRACE_MS: "500" };
  const service = await startServiceProcess(env);
  const hanging = await startDestination();
  hanging.behave(() => {});
  const { body: webhook } = await service.api.post("/webhooks", { name: "hangs", url: hanging.url });
  for (const body of ["1", "2", "3"]) {
    expect((await send(webhook.receiveUrl, body, hubSignature(webhook.secret, body))).status).toBe(200);
  }
  await hanging.arrived(3);
  service.signal("SIGTERM");
  expect(await service.exited).toMatchObject({ code: 0, signal: null });
  const { rows } = await pool.query<{ status: string; lease_token: string | null; error_code: string | null }>(
    `select d.status, q.lease_token, a.error_code from deliveries d join delivery_queue q on q.delivery_id = d.id
     left join delivery_attempts a on a.delivery_id = d.id where d.webhook_id = $1`,
    [webhook.id],
  );
  expect(rows).toHaveLength(3);
  for (const row of rows) expect(row).toEqual({ status: "pending", lease_token: null, error_code: "aborted" });
  await pool.query("delete from delivery_queue");
  await hanging.close();
});
