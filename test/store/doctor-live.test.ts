/** The doctor beside a service at work: no false alarm, and its command. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { examineStore } from "../support/doctor.ts";
import { eventually } from "../support/eventually.ts";
import { startService, TEST_MASTER_KEY, type TestService } from "../support/service.ts";

const ROUNDS = 12;
let service: TestService;
let destination: Destination;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test("receives, retries, pauses, deletes: none is taken for a fault", async () => {
  destination.behave((_arrival, response, count) => response.writeHead(count % 3 ? 200 : 500).end());
  const webhook = await createForwardingWebhook(service, destination.url);
  const { pool } = service;
  const released = async () => {
    await eventually("releases are done", async () => (await pool.query("select 1 from releases")).rowCount === 0);
  };
  let busy = true;
  const until = async (work: () => Promise<unknown>) => {
    while (busy) await work();
  };
  const traffic = [
    ...[1, 2, 3, 4].map((n) => until(() => webhook.sendEvent(JSON.stringify({ n, type: "t" })))),
    until(() => service.advanceQueue(7_200_000)),
    until(async () => {
      await webhook.patch({ status: "paused" });
      await webhook.patch({ status: "active" });
    }),
    until(async () => {
      const passing = await createForwardingWebhook(service, destination.url);
      await passing.sendEvent();
      await service.api.delete(`/webhooks/${passing.id}`);
    }),
  ];
  try {
    for (let round = 0; round < ROUNDS; round++) {
      expect(await examineStore(pool, { wait: released })).toEqual([]);
    }
  } finally {
    busy = false;
    await Promise.all(traffic);
  }
  expect((await pool.query("select 1 from attempts limit 50")).rowCount).toBe(50);
});

/** Runs the command on the service's database; resolves to its exit code and what it printed. */
async function doctor(...args: string[]): Promise<{ code: number; stdout: string }> {
  const env = { ...process.env, DATABASE_URL: service.databaseUrl, MASTER_KEY: TEST_MASTER_KEY };
  const run = promisify(execFile)(process.execPath, ["src/main.ts", "doctor", ...args], { env });
  return await run.then(
    ({ stdout }) => ({ code: 0, stdout }),
    ({ code, stdout }) => ({ code, stdout }),
  );
}

test("the command tells what it found, mends when asked, and exits 1 while something is left", {
  timeout: 60_000,
}, async () => {
  await service.pool.query("update webhook_counters set delivery_count = delivery_count + 1");
  const { rows } = await service.pool.query("select webhook_id from webhook_counters");
  const finding = { kind: "counters", count: 1, examples: [rows[0].webhook_id] };
  expect(rows).toHaveLength(1);

  const found = await doctor("--json");
  expect([found.code, JSON.parse(found.stdout)]).toEqual([1, { findings: [{ ...finding, mended: 0 }] }]);
  expect(await doctor("--mend")).toEqual({
    code: 0,
    stdout: `finding   found  mended
counters  1      1
    the webhook's count of deliveries is not that of its history
    the count follows the history
    such as ${rows[0].webhook_id}
`,
  });
  expect(await examineStore(service.pool)).toEqual([]);
});
