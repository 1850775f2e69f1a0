/** SIGTERM while a destination hangs. What a stop does under load is a kind of fault (`kinds/service-stopped.ts`). */
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startDestination } from "../support/destination.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { killLeftovers, startServiceProcess } from "./service-process.ts";

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await killLeftovers();
  await pool?.end();
  await database?.drop();
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
     left join attempts a on a.delivery_id = d.id where d.webhook_id = $1`,
    [webhook.id],
  );
  expect(rows).toHaveLength(3);
  for (const row of rows) expect(row).toEqual({ status: "pending", lease_token: null, error_code: "aborted" });
  await pool.query("delete from delivery_queue");
  await hanging.close();
});
